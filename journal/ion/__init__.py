"""Reads, writes and hashes Ion values, and gives their JSON: `values.read()`, `hash.ion_hash()`, `json.to_json()`."""
