"""Provenance of AI data: the recorder that writes it, the lineage that reads it."""
