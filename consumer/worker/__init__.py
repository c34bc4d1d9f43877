"""The long-running consumer: KCL's daemon and the services on threads. `service.run_worker()` runs it."""
