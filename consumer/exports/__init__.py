"""Copies of read models in files: they are written, registered and deleted here. No redaction reaches them."""
