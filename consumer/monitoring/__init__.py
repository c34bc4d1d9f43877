"""The state of the store and its workers, for `status`, health checks and metrics: `status.read_status()`."""
