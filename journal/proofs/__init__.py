"""Proofs of revisions, their files, and saved digests: `proof.check_proof()`."""
