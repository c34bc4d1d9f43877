"""The life cycle of a projection's builds: `lifecycle.project()`, `rebuild`, `rollback`, and purging by source."""
