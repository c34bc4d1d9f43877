"""Holds tables that AWS's migration kit wrote against the journal, row by row: `comparison.compare()`."""
