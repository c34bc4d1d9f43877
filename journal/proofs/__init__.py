"""Makes and checks proofs of revisions, and reads saved digests: `proof.check_proof()`, `saved_digest`."""
