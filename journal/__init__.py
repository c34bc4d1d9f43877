"""What QLDB wrote, and how to write it: values, hashes, verification, blocks, exports. Pure; knows no database."""
