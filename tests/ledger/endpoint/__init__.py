"""Tests of QLDB's API, by requests as the drivers send them."""
