"""Exports and record archives on disk: `source.local_sources()`."""
