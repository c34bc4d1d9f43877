"""QLDB's dialect of PartiQL: text to syntax tree, values and functions. Pure: no database, no transaction."""
