"""QLDB's own drivers against a served ledger. `make test-drivers` installs them and runs these tests."""
