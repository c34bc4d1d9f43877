-- Schema projection: control of the read models. Tables of generations are in schema generation; analysts see schema read.
CREATE SCHEMA IF NOT EXISTS projection;
CREATE SCHEMA IF NOT EXISTS generation;
CREATE SCHEMA IF NOT EXISTS read;

-- The identity of this store. Its indexes in OpenSearch carry it, so that no other store writes to them or deletes them.
CREATE TABLE projection.store (id uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO projection.store DEFAULT VALUES;

-- ---------------------------------------------------------------------------------------------------------------------
-- Generations and what is parked

-- One build of a projection; its row is also its lease. The position moves only with the lease's token.
CREATE TABLE projection.generation (
    generation    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    projection    text NOT NULL,
    store         text NOT NULL CHECK (store IN ('postgresql', 'opensearch')),
    state         text NOT NULL CHECK (state IN ('building', 'live', 'kept', 'frozen')),
    fingerprint   text NOT NULL,              -- of the definition that fills it
    relation      text NOT NULL,              -- table in schema generation, or index
    purpose       text NOT NULL DEFAULT '',   -- of the definition, for read.read_models
    readers       text NOT NULL DEFAULT 'cleared' CHECK (readers IN ('analysts', 'cleared')),
    position      bigint NOT NULL,            -- last block that it reflects
    filled        bigint,                     -- of a backfill, whose position moves only at the end: what is written so far
    to_fill       bigint,                     -- of how many; NULL if nobody counted
    owner         text,                       -- process that holds the lease
    token         bigint NOT NULL DEFAULT 0,  -- rises with every lease
    expires_at    timestamptz,
    passed_change boolean NOT NULL DEFAULT false, -- the journal changed below its position: it needs a rebuild
    forced        boolean NOT NULL DEFAULT false, -- served although it was worse than the one before (rebuild --accept)
    failed_at     timestamptz,                -- since when it has failed, and why (no payload)
    failure       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    served_at     timestamptz,
    purged_no     bigint,  -- last block whose redactions were purged by source: a frozen generation is no longer filled
    view_query    text,    -- its view's query and readers, before another generation replaced it
    view_readers  text[],
    -- No redaction up to this block has left anything in it.
    clean_no      bigint NOT NULL GENERATED ALWAYS AS (greatest(position, purged_no)) STORED
);
CREATE UNIQUE INDEX generation_live ON projection.generation (projection) WHERE state = 'live';
CREATE UNIQUE INDEX generation_building ON projection.generation (projection) WHERE state = 'building';

-- A read model outside the database that is about to be switched to another generation. The row is committed before the
-- alias moves and deleted when the move is known to have happened. The next projector completes what a killed one began.
CREATE TABLE projection.swap (
    projection text PRIMARY KEY,
    generation bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    begun_at   timestamptz NOT NULL DEFAULT now()
);

-- Documents (of a composed projection: keys; of a projection of blocks: block numbers) that wait, from the first revision
-- that could not be projected.
CREATE TABLE projection.parked (
    generation  bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    key         text NOT NULL,
    version     bigint,            -- NULL for a key or a block
    sequence_no bigint NOT NULL,
    reason      text NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now()
);
-- A document and a composed key, which has no version, may have the same name.
CREATE UNIQUE INDEX parked_key ON projection.parked (generation, key, (version IS NULL));
-- A composed key is payload, and histograms keep deleted values.
ALTER TABLE projection.parked ALTER key SET STATISTICS 0;

-- Mark every generation that has passed a changed block: it needs a rebuild. A batch holds its generation's row while it
-- reads, so these must stay two statements: the first waits for batches that may have read the old contents, the second
-- sees how far they got.
CREATE FUNCTION projection.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        PERFORM FROM projection.generation ORDER BY generation FOR UPDATE;
        UPDATE projection.generation SET passed_change = true
        WHERE NOT passed_change AND position >= (SELECT min(sequence_no) FROM changed);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER change_passed AFTER INSERT ON journal.change
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION projection.note_change();

-- The workers that fill the store, by id. Each updates its row from time to time.
CREATE TABLE projection.worker (
    id         text PRIMARY KEY,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    ended_at   timestamptz  -- orderly end; NULL while it runs, and if it was killed
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Row records: which documents a composed row comes from, and which rows a store outside holds.
--
-- Each generation has a table of its own below these two parents, which answer for all of them. A backfill writes it
-- without indexes, which are built at the end for a third of the cost; a generation that is dropped takes its tables
-- along, instead of one row at a time.

-- The sources of each composed key's rows, so that a change or an erasure of a document reaches all of them.
CREATE TABLE projection.source (
    generation  bigint NOT NULL,
    key         text NOT NULL,
    document_id text NOT NULL,
    version     bigint NOT NULL
);
ALTER TABLE projection.source ALTER key SET STATISTICS 0;

-- The rows outside, by source: written before they are sent, and kept until they are known to be deleted. A connection of
-- its own commits them while the control transaction holds the generation.
CREATE TABLE projection.outside_row (
    generation bigint NOT NULL,
    document   text NOT NULL,   -- '' for a row that comes from a block; the hash of a composed key
    version    bigint NOT NULL, -- the block's number; 0 for a composed key
    row_id     text NOT NULL    -- made of ids, numbers and hashes: no payload
);

CREATE FUNCTION projection.create_record(record text, generation bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Inherited, not a partition: dropping a partition waits for every reader of the others, and blocks the next ones.
    EXECUTE format('CREATE TABLE projection.%I (CHECK (generation = %s)) INHERITS (projection.%I)',
                   record || '_' || generation, generation, record);
    IF record = 'source' THEN
        EXECUTE format('ALTER TABLE projection.%I ALTER key SET STATISTICS 0', record || '_' || generation);
    END IF;
END $$;

CREATE FUNCTION projection.index_record(record text, generation bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF record = 'source' THEN
        EXECUTE format('ALTER TABLE projection.%I ADD PRIMARY KEY (key, document_id, version)', record || '_' || generation);
        EXECUTE format('CREATE INDEX ON projection.%I (document_id)', record || '_' || generation);
    ELSE
        EXECUTE format('ALTER TABLE projection.%I ADD PRIMARY KEY (document, version, row_id)', record || '_' || generation);
    END IF;
END $$;

CREATE FUNCTION projection.drop_records() RETURNS trigger LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS projection.%I, projection.%I',
                   'source_' || OLD.generation, 'outside_row_' || OLD.generation);
    RETURN NULL;
END $$;
CREATE TRIGGER drop_records AFTER DELETE ON projection.generation
    FOR EACH ROW EXECUTE FUNCTION projection.drop_records();

-- Composed keys whose rows outside a batch has begun to write; it deletes them in the transaction that moves the position.
-- If that transaction is lost, the next batch composes them again: their causes may be erased by then, and the rows would
-- stay.
CREATE TABLE projection.outside_key (
    generation bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    key        text NOT NULL,
    PRIMARY KEY (generation, key)
);
ALTER TABLE projection.outside_key ALTER key SET STATISTICS 0;

-- The external version of the last write outside. It rises with every write of any process, so that no store accepts a
-- late one.
CREATE TABLE projection.outside_version (
    generation bigint PRIMARY KEY REFERENCES projection.generation ON DELETE CASCADE,
    version    bigint NOT NULL
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Erasure

-- How many rows of a generation were replaced because of a redaction.
CREATE TABLE projection.purge (
    generation  bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    rows        bigint NOT NULL,
    purged_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (generation, document_id, version)
);

-- One receipt for each redaction, store and level. `body` is JSON text that holds the hash of the receipt before; `hash`
-- is its SHA-256. No foreign keys: a receipt outlives what it attests.
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

-- The end of the chain of receipts: how many were issued, and the hash of the last. Receipts that are deleted are missed by
-- it. A copy of it with an outsider (`receipts --head`) shows a change of both. Beside it the number of redactions that are
-- hidden, for `status`, which does not count them.
CREATE TABLE projection.receipt_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    count    bigint NOT NULL,
    hash     bytea NOT NULL,
    hidden   bigint NOT NULL DEFAULT 0
);
INSERT INTO projection.receipt_head (count, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- A redaction whose receipt was deleted is open again, and gets another one.
CREATE FUNCTION projection.miss_receipts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH missed AS (
        UPDATE journal.redaction d SET hidden = false
        FROM (SELECT DISTINCT document_id, version FROM deleted WHERE level = 'hidden') AS gone
        WHERE d.document_id = gone.document_id AND d.version = gone.version AND d.hidden AND NOT EXISTS (
            SELECT FROM projection.receipt r
            WHERE r.document_id = d.document_id AND r.version = d.version AND r.level = 'hidden')
        RETURNING 1
    )
    UPDATE projection.receipt_head SET hidden = hidden - (SELECT count(*) FROM missed);
    RETURN NULL;
END $$;
CREATE TRIGGER miss_receipts AFTER DELETE ON projection.receipt
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION projection.miss_receipts();

-- ---------------------------------------------------------------------------------------------------------------------
-- Exports: copies of read models that no redaction reaches (0005_read.sql has the functions that write these tables)

-- Committed before a row leaves the database. `place` is a file's or an S3 address. A row without `completed_at` is of a
-- command that runs, or was killed and may have left a partial file.
CREATE TABLE projection.export (
    export       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    projection   text NOT NULL,
    as_of_block  bigint NOT NULL,
    place        text NOT NULL,
    rows         bigint,
    exported_by  text NOT NULL,  -- login
    exported_at  timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    completed_at timestamptz,
    deleted_at   timestamptz     -- since when the copy is known to be gone
);

-- The revisions whose data an export holds, until the copy is known to be gone. Without a foreign key, which would look up
-- the one export for each of millions of rows.
CREATE TABLE projection.export_source (
    export      bigint NOT NULL,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    PRIMARY KEY (document_id, version, export)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- The operator reads no payload: neither data nor statements, rejected records, or composed keys.
GRANT USAGE ON SCHEMA journal, projection TO strandline_operator;
GRANT SELECT ON journal.migration, journal.mark, journal.stream, journal.object, journal.accepted_gap, journal.omission,
    journal.redaction, journal.document, journal.document_version, journal.restored_block, journal.json_sum, journal.change,
    projection.generation, projection.worker, projection.receipt, projection.receipt_head,
    projection.export, projection.export_source TO strandline_operator;
GRANT SELECT (sequence_no, block_hash, previous_hash, level, complete, block_time, revision_hashes, redactions)
    ON journal.block TO strandline_operator;
GRANT SELECT (sequence_no, hash, document_id, version, state) ON journal.revision TO strandline_operator;
GRANT SELECT (first_no, name) ON journal.user_table TO strandline_operator;
GRANT SELECT (id, sequence_no, rejected_at, acknowledged_at, fault) ON journal.rejected TO strandline_operator;
GRANT SELECT (generation) ON projection.parked TO strandline_operator;
