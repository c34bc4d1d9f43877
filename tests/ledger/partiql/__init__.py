"""Tests of QLDB's dialect: text, tree, values, functions, and statements over a ledger."""
