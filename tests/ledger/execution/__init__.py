"""Tests of statements over a ledger, and of open transactions."""
