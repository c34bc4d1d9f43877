"""QLDB's API over HTTP, for its own drivers: sessions, transactions, and what the console's API told of a ledger."""
