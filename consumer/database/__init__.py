"""Connections to PostgreSQL, the embedded server, migrations and the meaning of errors: `connection.connect()`."""
