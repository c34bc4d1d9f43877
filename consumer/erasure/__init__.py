"""A redaction on its way to its receipt.

`purge.hide()` applies it everywhere, `receipts` records and checks it, `expunge` removes the bytes.
"""
