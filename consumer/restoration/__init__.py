"""Turns JSON exports back into Ion exports, in folders: `export.restore_export()`."""
