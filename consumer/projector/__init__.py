"""Runs one generation of one projection: the next batch up to the mark, rows and position in one transaction.

Call `projector.Projector`.
"""
