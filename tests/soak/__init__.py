"""Long tests, each for as long as there is time: `make soak DURATION=600 SEED=1` (`ONLY="replay fuzz"` for some).

A long test is a function `(seconds, seed) -> Outcome` in a module of this folder, registered in `long_tests.py`. It
goes on with new rounds until its time is up, makes at least one, and draws whatever it does from its seed. It counts
what it finds lost, duplicated or resurrected; anything else that is wrong it raises.
"""
