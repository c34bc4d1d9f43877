"""Verifies blocks, chains and Merkle trees: `block.check_block()`, `strand.Chain`, `merkle.root()`."""
