"""QLDB's formats, read, verified and written: values, hashes, blocks, exports, stream records. Pure: no database."""
