"""Runs PartiQL statements over an open transaction: plans, queries, changes of documents, definitions."""
