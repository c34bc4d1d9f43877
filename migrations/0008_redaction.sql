-- Redaction: how each took effect, and the receipts that show it.

-- An imported redaction counts from its revision on: nothing here ever held what it erased. `found` is what it met: data
-- that it erased, a revision that arrived without, or none at all (below the origin, in an accepted gap).
ALTER TABLE journal.redaction
    ADD imported boolean NOT NULL DEFAULT false,
    ADD found text CHECK (found IN ('data', 'redacted', 'not held')),
    ADD effective_no bigint NOT NULL
        GENERATED ALWAYS AS (CASE WHEN imported THEN least(sequence_no, redacted_by) ELSE redacted_by END) STORED;
CREATE INDEX redaction_effective ON journal.redaction (effective_no);

-- Statement texts and records that were refused may hold payload, and histograms keep it.
ALTER TABLE journal.block ALTER transaction_info SET STATISTICS 0, ALTER definitions SET STATISTICS 0;
ALTER TABLE journal.rejected ALTER record SET STATISTICS 0;
ALTER TABLE journal.rejected ADD purged_at timestamptz;  -- since when its record is gone

-- How many rows of a generation were replaced because of a redaction.
CREATE TABLE projection.purge (
    generation  bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    rows        bigint NOT NULL,
    purged_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (generation, document_id, version)
);

-- One for each redaction, store and level; `body` is JSON text that holds the hash of the receipt before, `hash` its
-- SHA-256. No foreign keys: a receipt outlives what it tells of.
CREATE TABLE projection.receipt (
    number      bigint PRIMARY KEY,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    store       text NOT NULL CHECK (store IN ('postgresql', 'opensearch')),
    level       text NOT NULL CHECK (level IN ('hidden', 'expunged', 'physical')),
    body        text NOT NULL,
    hash        bytea NOT NULL,
    UNIQUE (document_id, version, store, level)
);
