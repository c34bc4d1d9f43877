"""Checks exports and the store against their own hashes and a saved digest, and proves revisions.

`verify.verify_sources()`, `verify.verify_store()`, `digest.store_digest()`, `prove.prove()`.
"""
