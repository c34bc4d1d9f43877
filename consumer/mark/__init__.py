"""How far the journal is complete and verified, and how that moves: `mark.advance()`."""
