"""Numbered SQL for what outlives rebuilds: roles, the journal store, control tables.

Applied by consumer.database.migrate.
"""
