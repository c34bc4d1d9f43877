"""The block up to which the journal is complete and verified: `mark.advance()` raises it."""
