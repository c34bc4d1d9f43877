"""The running system: from a stream or a replay to verified read models.

Start at `worker` or `intake`; docs/design.md shows the layers.
"""
