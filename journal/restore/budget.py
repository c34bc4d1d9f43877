"""The default budget of a search, apart so that a command's help does not load the search."""

BUDGET = 50_000
"""Combinations to try for a document; about half a second."""
