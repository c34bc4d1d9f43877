-- Control of the read models. Tables of generations are in schema generation; analysts see schema read.
CREATE SCHEMA IF NOT EXISTS projection;
CREATE SCHEMA IF NOT EXISTS generation;
CREATE SCHEMA IF NOT EXISTS read;

-- One build of a projection; its row is also its lease. The position moves only with the lease's token.
CREATE TABLE projection.generation (
    generation    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    projection    text NOT NULL,
    store         text NOT NULL CHECK (store IN ('postgresql', 'opensearch')),
    state         text NOT NULL CHECK (state IN ('building', 'live', 'kept', 'frozen')),
    fingerprint   text NOT NULL,              -- of the definition that fills it
    relation      text NOT NULL,              -- table in schema generation, or index
    position      bigint NOT NULL,            -- the last block whose meaning is in it
    owner         text,                       -- process that holds the lease
    token         bigint NOT NULL DEFAULT 0,  -- rises with every lease
    expires_at    timestamptz,
    passed_change boolean NOT NULL DEFAULT false, -- the journal changed below its position since: it needs a rebuild
    failed_at     timestamptz,                -- since when it cannot go on, and why (no payload)
    failure       text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    served_at     timestamptz
);
CREATE UNIQUE INDEX generation_live ON projection.generation (projection) WHERE state = 'live';
CREATE UNIQUE INDEX generation_building ON projection.generation (projection) WHERE state = 'building';

-- Documents (of a composed projection: keys; of a projection of blocks: numbers) that wait, from the first revision that
-- could not be taken on.
CREATE TABLE projection.parked (
    generation  bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    key         text NOT NULL,
    version     bigint,            -- NULL for a key or a block
    sequence_no bigint NOT NULL,
    reason      text NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (generation, key)
);

-- Every generation that has passed a block whose contents change now needs a rebuild. A batch holds its generation's row
-- while it reads: so these must stay two statements, the first waiting for batches that may have read the old contents,
-- the second seeing how far they got.
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

GRANT USAGE ON SCHEMA read TO strandline_analyst, strandline_cleared;
