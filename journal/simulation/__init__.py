"""Sample ledgers with invented people, for tests, demos and benchmarks: `simulate.simulate()`."""
