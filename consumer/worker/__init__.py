"""The long-running consumer, KCL and the threads beside it: `service.run()`."""
