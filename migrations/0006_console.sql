-- Schema console: what `strandline console` writes, and what it may show of the other schemas. No table here holds payload.
CREATE SCHEMA IF NOT EXISTS console;

-- Who saw or did what: ids, names of read models and hashes of queries only. A reveal that a page repeats while it is open
-- extends its row.
CREATE TABLE console.audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    until       timestamptz NOT NULL DEFAULT now(),  -- the last time that the same was shown
    reader      text NOT NULL,    -- who: the name that the sign-in gave
    action      text NOT NULL,
    document_id text,
    versions    bigint[],
    detail      text              -- what else was named: a read model, a block, a query's SHA-256 and length
);
CREATE INDEX audit_document ON console.audit (document_id) WHERE document_id IS NOT NULL;

-- Long work that a page started. A process of its own does it, and outlives the page and the console.
CREATE TABLE console.job (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('rebuild', 'verify', 'prove', 'index')),
    name       text NOT NULL,        -- a read model, 'store', 'look-ups', or document and version
    arguments  jsonb NOT NULL,       -- ids, numbers and digests
    started_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),  -- the process updates it; when it stops doing so, the job is lost
    step       text,
    done       bigint,
    total      bigint,
    ended_at   timestamptz,
    ok         boolean,
    result     jsonb                 -- the object of the command's --json; of a proof, the file without the data
);
-- One at a time.
CREATE UNIQUE INDEX job_running ON console.job (kind, name) WHERE ended_at IS NULL;

-- ---------------------------------------------------------------------------------------------------------------------
-- The status pages act as the operator, who reads no payload (0003_projection.sql): columns that they need besides.
GRANT USAGE ON SCHEMA console TO strandline_operator;
GRANT SELECT ON console.audit, console.job, journal.shape, projection.purge, journal.outbound_stream
    TO strandline_operator;
GRANT SELECT (table_id, table_name, level, tx_id, tx_time, data_hash, shape) ON journal.revision TO strandline_operator;
GRANT SELECT (transaction_id, entries_hashes, revision_documents, statement_kinds, tables)
    ON journal.block TO strandline_operator;
GRANT SELECT (table_id, status, view_name) ON journal.user_table TO strandline_operator;
