"""Finds exports and record archives on disk: `source.local_sources()`."""
