"""Checks the store against its own hashes, and proves revisions: `verify`, `digest`, `prove`."""
