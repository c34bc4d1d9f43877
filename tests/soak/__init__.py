"""Long tests, each for as long as there is time: `make soak DURATION=600 SEED=1` (`ONLY="replay fuzz"` for some).

A long test is a function `(seconds, seed) -> Outcome` in a module of this folder, registered in `long_tests.py`. It
runs rounds until its time is up, at least one, and draws everything that it does from its seed. It counts what is lost,
duplicated or resurrected, and raises an error for anything else that is wrong.
"""
