"""From a redaction to its receipt.

`purge.hide()` applies redactions in every read model, `receipts` issues the receipts, `receipt_check` checks them,
`expunge` removes the bytes.
"""
