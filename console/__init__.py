"""The console: web pages over the store, for people who look after a ledger. `strandline console` serves them.

Payload reaches a page only by logins of one reader role (`logins`), and is hidden until it is asked for.
"""
