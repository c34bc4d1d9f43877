"""Writes the journal out: exports, streams, and answers in the shapes of QLDB's API."""
