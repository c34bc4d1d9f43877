-- The journal store: what QLDB wrote, hash-equal. Made by strandline_worker, readable by no one else.
CREATE SCHEMA IF NOT EXISTS journal;

-- One row: how far the strand has safely come in. Every block from origin to sequence_no is there, with all its
-- revisions, verified and linked. It only ever rises.
CREATE TABLE journal.mark (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    strand_id   text,                       -- NULL until the first intake
    origin      bigint NOT NULL DEFAULT 0,  -- the first block that the store holds (STRANDLINE_ORIGIN)
    sequence_no bigint NOT NULL DEFAULT -1, -- origin - 1 until the first block is in
    block_hash  bytea,                      -- hash of block sequence_no; NULL before the first block, and after an accepted gap
    moved_at    timestamptz
);
INSERT INTO journal.mark DEFAULT VALUES;

-- Up to the mark: the journal. Above it: candidates, more than one for a number until the chain decides.
CREATE TABLE journal.block (
    sequence_no        bigint NOT NULL,
    block_hash         bytea NOT NULL,
    previous_hash      bytea NOT NULL,
    level              text NOT NULL CHECK (level IN ('full', 'chain')),
    complete           boolean NOT NULL,   -- its revisions came in the same transaction (an export), so none need be counted
    transaction_id     text,
    block_time         timestamptz,
    entries_hashes     bytea[] NOT NULL,
    revision_hashes    bytea[] NOT NULL,   -- every revision's, a system revision's too, in the block's order
    revision_documents text[] NOT NULL,    -- in the same order; NULL for a system revision
    transaction_info   bytea,              -- Ion; at level chain the JSON text, types lost
    redaction_info     bytea,              -- as above
    redactions         jsonb,              -- of redaction_info: [{"sequenceNo", "tableId", "documentId", "version"}]
    statement_kinds    text[] NOT NULL,    -- leading keyword of each statement, in upper case
    definitions        text[] NOT NULL,    -- texts of CREATE, DROP and UNDROP statements, which hold no payload
    tables             jsonb NOT NULL,     -- {table id: table name} of the documents that transaction_info names
    PRIMARY KEY (sequence_no, block_hash)
);
CREATE INDEX block_redacting ON journal.block (sequence_no) WHERE redactions IS NOT NULL;
CREATE INDEX block_defining ON journal.block (sequence_no) WHERE definitions <> '{}';

-- A revision belongs to every block of its number that names its hash.
CREATE TABLE journal.revision (
    sequence_no bigint NOT NULL,
    hash        bytea NOT NULL,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    table_id    text,
    table_name  text,
    state       text NOT NULL CHECK (state IN ('normal', 'redacted', 'deleted')),
    level       text NOT NULL CHECK (level IN ('full', 'chain')),
    tx_id       text NOT NULL,
    tx_time     timestamptz NOT NULL,
    data        jsonb,  -- NULL unless normal
    data_ion    bytea,  -- NULL unless normal and full
    data_hash   bytea,  -- Ion Hash of the data, kept when the data is erased; NULL where deleted, or known only from JSON
    metadata    bytea,  -- Ion, only where it is not {id, version, txTime in milliseconds UTC, txId} of the columns above
    PRIMARY KEY (sequence_no, hash)
) PARTITION BY RANGE (sequence_no);
CREATE INDEX revision_document ON journal.revision (document_id, version);
ALTER TABLE journal.revision ALTER data SET STATISTICS 0, ALTER data_ion SET STATISTICS 0;

-- Partitions of 100,000 blocks; intake calls this for the range that it is about to write. PostgreSQL's histograms keep
-- values after they are deleted, so payload columns have none (a new partition does not inherit that).
CREATE FUNCTION journal.ensure_partitions(first_no bigint, last_no bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    width CONSTANT bigint := 100000;
    part bigint;
    name text;
BEGIN
    FOR part IN SELECT generate_series(first_no / width, last_no / width) LOOP
        name := format('revision_%s', part);
        IF to_regclass(format('journal.%I', name)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('journal.ensure_partitions'));
            -- Asked of the table, not to_regclass, whose cache may not know yet what another one made meanwhile.
            IF NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'journal'::regnamespace) THEN
                -- Attached, not made as a partition: that would wait for every reader of the journal, and hold up the next.
                EXECUTE format('CREATE TABLE journal.%I (LIKE journal.revision INCLUDING CONSTRAINTS)', name);
                EXECUTE format('ALTER TABLE journal.%I ALTER data SET STATISTICS 0, ALTER data_ion SET STATISTICS 0', name);
                EXECUTE format('ALTER TABLE journal.revision ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                               name, part * width, (part + 1) * width);
            END IF;
        END IF;
    END LOOP;
END $$;

-- The register: redactions that have taken effect. It outlives the data and never holds any.
CREATE TABLE journal.redaction (
    document_id text NOT NULL,
    version     bigint NOT NULL,
    table_id    text NOT NULL,
    sequence_no bigint NOT NULL,  -- block of the redacted revision
    redacted_by bigint NOT NULL,  -- block that redacted it
    data_hash   bytea,            -- NULL where the data was never held as Ion
    registered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, version)
);
CREATE INDEX redaction_redacted_by ON journal.redaction (redacted_by);
CREATE INDEX redaction_sequence_no ON journal.redaction (sequence_no);

-- What was refused at intake, or lost to the chain: shown by `rejected`, mended by a replay that covers it.
CREATE TABLE journal.rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence_no bigint,            -- NULL where it could not be read
    block_hash  bytea,
    source      text NOT NULL,     -- object name, or stream and shard
    position    text,              -- sequence and subsequence number in the stream
    fault       text NOT NULL,
    detail      text NOT NULL,     -- ids and hashes only
    record      bytea,             -- the bytes, where no export holds them
    digest      bytea NOT NULL UNIQUE, -- of all the above but the record: a repeated replay adds no second row
    rejected_at timestamptz NOT NULL DEFAULT now()
);

-- Export objects that are wholly in, by the SHA-256 of their bytes: a resumed replay passes over them.
CREATE TABLE journal.object (
    digest    bytea PRIMARY KEY,
    name      text NOT NULL,
    first_no  bigint NOT NULL,
    last_no   bigint NOT NULL,
    blocks    bigint NOT NULL,
    revisions bigint NOT NULL,
    taken_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE journal.accepted_gap (
    first_no    bigint PRIMARY KEY,
    last_no     bigint NOT NULL CHECK (last_no >= first_no),
    reason      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);

-- What changed below the mark after it had passed: generations beyond it want a rebuild.
CREATE TABLE journal.change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence_no bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('upgraded', 'found')),
    differs     boolean NOT NULL DEFAULT false,  -- a value of the Ion is not what JSON had said
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- The ledger's tables as the journal up to the mark tells of them.
CREATE TABLE journal.user_table (
    table_id  text PRIMARY KEY,
    name      text NOT NULL,
    status    text NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    view_name text NOT NULL UNIQUE,
    indexes   text[] NOT NULL DEFAULT '{}',
    first_no  bigint NOT NULL
);
