"""Runs `replay` and `verify` as tasks of a Dask cluster: the same functions, on other machines.

`client.connect_cluster()`, `replay.replay_on()`, `verify.verify_sources_on()`, `verify.verify_store_on()`.
"""
