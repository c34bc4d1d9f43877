"""QLDB's control API (AWS's model `qldb/2019-01-02`): ledgers, proofs, exports, streams, tags."""
