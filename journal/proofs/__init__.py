"""Makes and checks proofs of revisions, and reads saved digests.

`check.check_proof()`, `path`, `binding`, `file`, `saved_digest`.
"""
