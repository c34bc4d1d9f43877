"""Simulates sample ledgers of fictitious people, for tests, demos and benchmarks: `simulate.simulate()`."""
