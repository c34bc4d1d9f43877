"""The tables of the journal store: blocks and revisions, catalog, field counts, redactions, rejected records."""
