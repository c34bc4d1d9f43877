"""Ion values: reading, writing, hashing, and their JSON."""
