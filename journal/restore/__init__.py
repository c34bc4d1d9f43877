"""Finds the Ion types that JSON lost, by search; only a revision's own hash accepts a guess: `block.Restorer`."""
