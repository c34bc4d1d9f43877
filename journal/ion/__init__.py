"""Reads, writes and hashes Ion values, and writes them as JSON: `values.read()`, `hash.ion_hash()`, `json.to_json()`."""
