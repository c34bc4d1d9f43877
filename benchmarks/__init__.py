"""How fast Strandline is, as ratios to a raw COPY into the same PostgreSQL in the same run. See README.md here."""
