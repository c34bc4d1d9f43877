"""Benchmarks of Strandline, most as a ratio to a raw COPY into the same PostgreSQL in the same run. See README.md."""
