-- Schema journal: the journal store. Blocks and revisions as QLDB wrote them, hash-equal, and what is derived from them.
-- Owned by strandline_worker; no other role may use this schema.
CREATE SCHEMA IF NOT EXISTS journal;

-- ---------------------------------------------------------------------------------------------------------------------
-- The mark, blocks and revisions

-- One row: the highest block up to which nothing is missing. Every block from origin to sequence_no is present with all
-- its revisions, verified and linked. The mark only rises.
CREATE TABLE journal.mark (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    strand_id   text,                       -- NULL before the first intake
    origin      bigint NOT NULL DEFAULT 0,  -- first block that the store holds (STRANDLINE_ORIGIN)
    sequence_no bigint NOT NULL DEFAULT -1, -- origin - 1 before the first block
    block_hash  bytea,                      -- of block sequence_no; NULL before the first block and after an accepted gap
    moved_at    timestamptz
);
INSERT INTO journal.mark DEFAULT VALUES;

-- The strand's lock: intake locks this table in ROW EXCLUSIVE mode, which is shared, a step of the mark in EXCLUSIVE mode.
-- Not an advisory lock: a reader could take that, and stop all intake.
CREATE TABLE journal.strand_lock ();

-- Up to the mark: the journal. Above it: candidates, several for one number until the chain decides between them.
CREATE TABLE journal.block (
    sequence_no        bigint NOT NULL,
    block_hash         bytea NOT NULL,
    previous_hash      bytea NOT NULL,
    level              text NOT NULL CHECK (level IN ('full', 'chain')),
    complete           boolean NOT NULL,   -- its revisions came in the same transaction (an export): no need to count them
    transaction_id     text,
    block_time         timestamptz,
    entries_hashes     bytea[] NOT NULL,
    revision_hashes    bytea[] NOT NULL,   -- of every revision, system revisions included, in the block's order
    revision_documents text[] NOT NULL,    -- document ids in the same order; NULL for a system revision
    transaction_info   bytea,              -- Ion; at level chain the JSON text
    redaction_info     bytea,              -- likewise
    redactions         jsonb,              -- of redaction_info: [{"sequenceNo", "tableId", "documentId", "version"}]
    statement_kinds    text[] NOT NULL,    -- leading keyword of each statement, in upper case
    definitions        text[] NOT NULL,    -- texts of CREATE, DROP and UNDROP statements, which hold no payload
    tables             jsonb NOT NULL,     -- {table id: table name} of the documents that transaction_info names
    PRIMARY KEY (sequence_no, block_hash)
);
CREATE INDEX block_redacting ON journal.block (sequence_no) WHERE redactions IS NOT NULL;
CREATE INDEX block_chain ON journal.block (sequence_no) WHERE level = 'chain';
CREATE INDEX block_defining ON journal.block (sequence_no) WHERE definitions <> '{}';
-- Payload columns have no statistics: PostgreSQL's histograms keep values after they are deleted.
ALTER TABLE journal.block ALTER transaction_info SET STATISTICS 0, ALTER definitions SET STATISTICS 0;

-- Roots of the Merkle tree over blocks number * 2^height to (number + 1) * 2^height - 1, below the mark. `digest` and `prove`
-- store them (consumer/verification/tree.py); `verify` computes them again.
CREATE TABLE journal.subroot (
    height int NOT NULL,
    number bigint NOT NULL,
    hash   bytea NOT NULL,
    PRIMARY KEY (height, number)
);
GRANT INSERT ON journal.subroot TO strandline_auditor;

-- Blocks whose contents are not shown to be complete: a hash covers something that the block does not hold. The mark passes
-- such a block only once its omissions are accepted.
CREATE TABLE journal.omission (
    sequence_no bigint NOT NULL,
    block_hash  bytea NOT NULL,
    detail      text NOT NULL,  -- ids and hashes only
    accepted_at timestamptz,
    reason      text,           -- why it was accepted
    PRIMARY KEY (sequence_no, block_hash, detail),
    FOREIGN KEY (sequence_no, block_hash) REFERENCES journal.block ON DELETE CASCADE
);

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
    data        jsonb,   -- NULL unless normal
    data_ion    bytea,   -- NULL unless normal and full
    data_hash   bytea,   -- Ion Hash of the data, kept when the data is erased; NULL if deleted, or known only from JSON
    metadata    bytea,   -- Ion; NULL if it is {id, version, txTime in milliseconds UTC, txId} of the columns above
    shape       bigint,  -- of the data (journal.shape); NULL without data
    PRIMARY KEY (sequence_no, hash)
) PARTITION BY RANGE (sequence_no);
ALTER TABLE journal.revision ALTER data SET STATISTICS 0, ALTER data_ion SET STATISTICS 0;

-- Where each version of a document is, up to the mark: one narrow index over all partitions. What is found here is read by
-- its block's number, from one partition (journal.revision_at). Follows the mark in its transaction
-- (consumer/store/documents.py).
CREATE TABLE journal.document_version (
    document_id text NOT NULL,
    version     bigint NOT NULL,
    sequence_no bigint NOT NULL,
    PRIMARY KEY (document_id, version, sequence_no)
);

-- The last version of each document up to the mark. Follows the mark in its transaction.
CREATE TABLE journal.document (
    document_id text PRIMARY KEY,
    table_id    text,
    version     bigint NOT NULL,
    sequence_no bigint NOT NULL,
    deleted     boolean NOT NULL
) WITH (fillfactor = 85);  -- a new version changes no indexed column: there is room for it on the same page
CREATE INDEX document_table ON journal.document (table_id) WHERE NOT deleted;

-- Read one revision; NULL if it is not there. By the name of its partition: a statement on journal.revision itself would
-- plan for every partition, and lock it, unless the number is a constant in it.
-- It reads with its owner's rights: views in schema `ledger` call it for readers, who have none in this schema.
CREATE FUNCTION journal.revision_at(sequence_no bigint, document_id text, version bigint) RETURNS journal.revision
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog COST 1000 AS $$
DECLARE
    part text := 'journal.revision_' || sequence_no / 100000;
    found journal.revision;
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        EXECUTE 'SELECT * FROM ' || part || ' WHERE sequence_no = $1 AND document_id = $2 AND version = $3'
        INTO found USING sequence_no, document_id, version;
    END IF;
    RETURN found;
END $$;

-- Create the partitions (100,000 blocks each) for the range that an intake is about to write. They are the worker's, whoever
-- calls: journal.revision_at reads them by name.
CREATE FUNCTION journal.ensure_partitions(first_no bigint, last_no bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    width CONSTANT bigint := 100000;
    part bigint;
    name text;
BEGIN
    FOR part IN SELECT generate_series(first_no / width, last_no / width) LOOP
        name := format('revision_%s', part);
        IF to_regclass(format('journal.%I', name)) IS NULL THEN
            -- The mode of ATTACH PARTITION: one session creates partitions at a time; reads and writes go on.
            LOCK TABLE ONLY journal.revision IN SHARE UPDATE EXCLUSIVE MODE;
            -- Ask the catalog again: to_regclass may answer from a cache that does not know another session's table yet.
            IF NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'journal'::regnamespace) THEN
                -- CREATE TABLE … PARTITION OF would wait for every reader of the journal and block the next ones; ATTACH
                -- does not.
                EXECUTE format('CREATE TABLE journal.%I (LIKE journal.revision INCLUDING CONSTRAINTS)', name);
                EXECUTE format('ALTER TABLE journal.%I ALTER data SET STATISTICS 0, ALTER data_ion SET STATISTICS 0', name);
                EXECUTE format('ALTER TABLE journal.revision ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                               name, part * width, (part + 1) * width);
            END IF;
        END IF;
    END LOOP;
END $$;

-- The highest block above `above_no` of which a revision is stored; NULL if there is none. By the names of the partitions in
-- the catalog: a statement on journal.revision would read the bounds of each of them first, on every new connection.
CREATE FUNCTION journal.last_revision(above_no bigint) RETURNS bigint LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    part bigint;
    found bigint;
BEGIN
    FOR part IN
        SELECT substr(relname, 10)::bigint FROM pg_class
        WHERE relnamespace = 'journal'::regnamespace AND relname LIKE 'revision\_%' AND relispartition AND relkind = 'r'
          AND substr(relname, 10)::bigint >= above_no / 100000
        ORDER BY 1 DESC
    LOOP
        EXECUTE 'SELECT max(sequence_no) FROM journal.revision_' || part || ' WHERE sequence_no > $1'
        INTO found USING above_no;
        EXIT WHEN found IS NOT NULL;
    END LOOP;
    RETURN found;
END $$;
GRANT EXECUTE ON FUNCTION journal.last_revision TO strandline_operator, strandline_auditor;

-- Fields by whose text documents are found, of one table, or ('') of any: those that composed projections look up, and
-- those that identify people.
CREATE TABLE journal.found_by (
    table_name text NOT NULL,
    field      text NOT NULL,
    PRIMARY KEY (table_name, field)
);
-- The documents that have, or had, a text in such a field, up to the mark: a hash of the text, so a text may have any
-- length. Follows the mark in its transaction; an erased text has no row.
CREATE TABLE journal.found_text (
    table_name  text NOT NULL,
    field       text NOT NULL,
    text_hash   bigint NOT NULL,
    document_id text NOT NULL,
    PRIMARY KEY (table_name, field, text_hash, document_id)
);
CREATE INDEX found_text_document ON journal.found_text (document_id);
ALTER TABLE journal.found_text ALTER text_hash SET STATISTICS 0;  -- histograms would keep the hashes of deleted values

-- Add the texts of the revisions in the blocks `first_no` to `last_no`.
CREATE FUNCTION journal.add_texts(first_no bigint, last_no bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM journal.found_by) THEN
        EXECUTE $added$
            INSERT INTO journal.found_text (table_name, field, text_hash, document_id)
            SELECT DISTINCT f.table_name, f.field, hashtextextended(r.data ->> f.field, 0) AS text_hash, r.document_id
            FROM journal.revision r JOIN journal.found_by f ON f.table_name IN (r.table_name, '')
            WHERE r.sequence_no BETWEEN $1 AND $2 AND r.data ->> f.field IS NOT NULL
            ORDER BY 1, 2, 3, 4
            ON CONFLICT DO NOTHING$added$ USING first_no, last_no;
    END IF;
END $$;

-- Derive the texts of some documents again, of which revisions were erased or changed.
CREATE FUNCTION journal.change_texts(documents text[]) RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (SELECT FROM journal.found_by) THEN
        DELETE FROM journal.found_text WHERE document_id = ANY (documents);
        INSERT INTO journal.found_text (table_name, field, text_hash, document_id)
        SELECT DISTINCT f.table_name, f.field, hashtextextended(r.data ->> f.field, 0) AS text_hash, r.document_id
        FROM journal.document_version v
        CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r
        JOIN journal.found_by f ON f.table_name IN (r.table_name, '')
        WHERE v.document_id = ANY (documents) AND r.data ->> f.field IS NOT NULL
        ORDER BY 1, 2, 3, 4
        ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- Let documents be found by these fields of these tables ('': of any) from now on. The present texts are added in one pass
-- over the journal, for which intake and the mark wait.
CREATE FUNCTION journal.ensure_found_by(found_tables text[], found_fields text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(found_tables, found_fields) AS f (table_name, field)
        WHERE NOT EXISTS (SELECT FROM journal.found_by b WHERE b.table_name = f.table_name AND b.field = f.field))
    THEN
        LOCK TABLE journal.strand_lock IN EXCLUSIVE MODE;
        WITH added AS (
            INSERT INTO journal.found_by (table_name, field)
            SELECT DISTINCT f.table_name, f.field FROM unnest(found_tables, found_fields) AS f (table_name, field)
            ON CONFLICT DO NOTHING
            RETURNING table_name, field
        )
        INSERT INTO journal.found_text (table_name, field, text_hash, document_id)
        SELECT DISTINCT a.table_name, a.field, hashtextextended(r.data ->> a.field, 0) AS text_hash, r.document_id
        FROM journal.revision r JOIN added a ON a.table_name IN (r.table_name, '')
        WHERE r.sequence_no <= (SELECT m.sequence_no FROM journal.mark m) AND r.data ->> a.field IS NOT NULL
        ORDER BY 1, 2, 3, 4;
    END IF;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Intake: sources, rejections, gaps, changes

-- Export objects that were stored completely, by the SHA-256 of their bytes: a resumed replay skips them.
CREATE TABLE journal.object (
    digest    bytea PRIMARY KEY,
    name      text NOT NULL,
    first_no  bigint NOT NULL,
    last_no   bigint NOT NULL,
    blocks    bigint NOT NULL,
    revisions bigint NOT NULL,
    gapless   boolean NOT NULL DEFAULT false,  -- it has every block from first_no to last_no; false: not known
    taken_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX object_last ON journal.object (last_no, digest);

-- An object of which a block is deleted is no longer stored completely: a replay reads it again, and it hides no gap.
CREATE FUNCTION journal.forget_objects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM journal.object o
    WHERE int8range(o.first_no, o.last_no, '[]') && (
        SELECT range_agg(int8range(g.sequence_no, g.sequence_no, '[]')) FROM gone g);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_objects AFTER DELETE ON journal.block
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION journal.forget_objects();

-- Where the bytes of such an object were found: if a file there still has that size and version (the time of its last
-- change, or an ETag), a replay does not read it again.
CREATE TABLE journal.object_place (
    address text PRIMARY KEY,
    size    bigint NOT NULL,
    version text NOT NULL,
    digest  bytea NOT NULL
);

-- The Kinesis streams that feed the store. A stream that is not complete and has been silent for long may have lost its
-- worker.
CREATE TABLE journal.stream (
    name         text PRIMARY KEY,
    created_at   timestamptz,  -- intake of QLDB's CREATED record
    completed_at timestamptz,  -- intake of QLDB's COMPLETED record: no more records follow
    heard_at     timestamptz NOT NULL,
    fault        text          -- why nothing of the last batch could be stored: ids and kinds only
);

-- Records and blocks refused at intake, or rejected by the chain. `rejected` shows them; a replay that covers them
-- resolves them.
CREATE TABLE journal.rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence_no bigint,            -- NULL if it could not be read
    block_hash  bytea,
    source      text NOT NULL,     -- object name, or stream and shard
    position    text,              -- sequence and subsequence number in the stream
    fault       text NOT NULL,
    detail      text NOT NULL,     -- ids and hashes only
    record      bytea,             -- the bytes, if no export holds them
    digest      bytea NOT NULL UNIQUE, -- over all of the above but the record: repeating a replay adds no second row
    rejected_at timestamptz NOT NULL DEFAULT now(),
    purged_at   timestamptz,       -- when the record was removed because it may hold redacted data
    acknowledged_at timestamptz    -- when an operator dealt with it: it is no longer counted or listed
);
ALTER TABLE journal.rejected ALTER record SET STATISTICS 0;
-- Blocks that an operator has rejected: intake refuses every further copy.
CREATE INDEX rejected_by_operator ON journal.rejected (sequence_no) WHERE fault = 'operator';

-- Blocks that are permanently lost and that the mark may skip.
CREATE TABLE journal.accepted_gap (
    first_no    bigint PRIMARY KEY,
    last_no     bigint NOT NULL CHECK (last_no >= first_no),
    reason      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);

-- Changes below the mark, after it had passed. Generations beyond a change need a rebuild.
CREATE TABLE journal.change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence_no bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('upgraded', 'found')),
    differs     boolean NOT NULL DEFAULT false,  -- a value of the Ion copy is not the one that JSON had
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Redactions

-- The register: redactions that have taken effect, and imported ones. It outlives the data and never holds any.
CREATE TABLE journal.redaction (
    document_id   text NOT NULL,
    version       bigint NOT NULL,
    table_id      text NOT NULL,
    sequence_no   bigint NOT NULL,  -- block of the redacted revision
    redacted_by   bigint NOT NULL,  -- block that redacted it
    data_hash     bytea,            -- NULL if the data was never held as Ion
    revision_hash bytea,            -- NULL if no revision was found
    registered_at timestamptz NOT NULL DEFAULT now(),
    imported      boolean NOT NULL DEFAULT false,
    -- What the redaction met: data that it erased, a revision that arrived without data, or no revision (below the
    -- origin, in an accepted gap). NULL while an imported redaction is unconfirmed: the mark has not passed redacted_by.
    found         text CHECK (found IN ('data', 'redacted', 'not held')),
    hidden        boolean NOT NULL DEFAULT false,  -- it is applied in every read model, and a receipt says so
    -- An imported redaction counts from its revision on: this store never held what it erased.
    effective_no  bigint NOT NULL
        GENERATED ALWAYS AS (CASE WHEN imported THEN least(sequence_no, redacted_by) ELSE redacted_by END) STORED,
    PRIMARY KEY (document_id, version)
);
CREATE INDEX redaction_redacted_by ON journal.redaction (redacted_by);
CREATE INDEX redaction_sequence_no ON journal.redaction (sequence_no);
CREATE INDEX redaction_effective ON journal.redaction (effective_no);
CREATE INDEX redaction_open ON journal.redaction (effective_no, document_id, version) WHERE NOT hidden;

-- ---------------------------------------------------------------------------------------------------------------------
-- Catalog and field counts

-- The ledger's tables, as the journal up to the mark defines them.
CREATE TABLE journal.user_table (
    table_id  text PRIMARY KEY,
    name      text NOT NULL,
    status    text NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
    view_name text NOT NULL UNIQUE,
    indexes   text[] NOT NULL DEFAULT '{}',
    first_no  bigint NOT NULL
);

-- A shape is the set of a document's fields and their types (journal/ion/fields.py); many documents share one. It holds
-- names and no values, and is deleted with the last document that has it.
CREATE TABLE journal.shape (
    shape  bigint PRIMARY KEY,  -- hash of `fields`
    fields jsonb NOT NULL       -- [[type, name, name within that, ...], ...]; "[]" is a member of a list
);
ALTER TABLE journal.shape ALTER fields SET STATISTICS 0;

-- Revisions with data, by shape, up to the block in journal.shape_position. Those between it and the mark are counted on
-- demand, so that a step of the mark over a few blocks need not write here.
CREATE TABLE journal.shape_count (
    table_id  text NOT NULL,
    shape     bigint NOT NULL,
    revisions bigint NOT NULL,
    first_no  bigint NOT NULL,  -- block in which it was first seen, even if that revision has been erased
    last_no   bigint NOT NULL,
    PRIMARY KEY (table_id, shape)
);
CREATE TABLE journal.shape_position (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sequence_no bigint NOT NULL DEFAULT -1
);
INSERT INTO journal.shape_position DEFAULT VALUES;

-- Counts of the revisions that are not in journal.shape_count yet, up to the mark, by partition.
CREATE FUNCTION journal.uncounted_shapes()
RETURNS TABLE (table_id text, shape bigint, revisions bigint, first_no bigint, last_no bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    counted_no bigint := (SELECT p.sequence_no FROM journal.shape_position p);
    mark_no bigint := (SELECT m.sequence_no FROM journal.mark m);
    part regclass;
BEGIN
    FOR part IN
        SELECT to_regclass('journal.revision_' || n) FROM generate_series((counted_no + 1) / 100000, mark_no / 100000) n
    LOOP
        CONTINUE WHEN part IS NULL;
        RETURN QUERY EXECUTE format('
            SELECT r.table_id, r.shape, count(*), min(r.sequence_no), max(r.sequence_no)
            FROM %s r
            WHERE r.sequence_no > $1 AND r.sequence_no <= $2 AND r.table_id IS NOT NULL AND r.shape IS NOT NULL
            GROUP BY r.table_id, r.shape', part) USING counted_no, mark_no;
    END LOOP;
END $$;

-- Count up to the mark if it is at least `blocks` ahead. The caller holds the strand's lock alone.
CREATE FUNCTION journal.count_shapes(blocks bigint) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    counted_no bigint;
    mark_no bigint;
BEGIN
    SELECT p.sequence_no, m.sequence_no INTO counted_no, mark_no FROM journal.shape_position p, journal.mark m;
    IF mark_no - counted_no < blocks THEN
        RETURN;
    END IF;
    INSERT INTO journal.shape_count AS c (table_id, shape, revisions, first_no, last_no)
    SELECT u.table_id, u.shape, sum(u.revisions), min(u.first_no), max(u.last_no)
    FROM journal.uncounted_shapes() AS u
    GROUP BY u.table_id, u.shape ORDER BY u.table_id, u.shape
    ON CONFLICT (table_id, shape) DO UPDATE
    SET revisions = c.revisions + excluded.revisions, first_no = least(c.first_no, excluded.first_no),
        last_no = greatest(c.last_no, excluded.last_no);
    UPDATE journal.shape_position SET sequence_no = mark_no;
END $$;

-- Add `more` (which may be negative) revisions of a table and shape in blocks that are counted already. One statement, in
-- the order of the key: two sessions that change the same counts wait for each other and cannot deadlock.
CREATE FUNCTION journal.change_shapes(tables text[], shapes bigint[], more bigint[], numbers bigint[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO journal.shape_count AS c (table_id, shape, revisions, first_no, last_no)
    SELECT u.table_id, u.shape, sum(u.more), min(u.number), max(u.number)
    FROM unnest(tables, shapes, more, numbers) AS u (table_id, shape, more, number)
    WHERE u.number <= (SELECT sequence_no FROM journal.shape_position)
      AND u.table_id IS NOT NULL AND u.shape IS NOT NULL
    GROUP BY u.table_id, u.shape ORDER BY u.table_id, u.shape
    ON CONFLICT (table_id, shape) DO UPDATE
    SET revisions = c.revisions + excluded.revisions, first_no = least(c.first_no, excluded.first_no),
        last_no = greatest(c.last_no, excluded.last_no);
$$;

-- Tell whether a revision that is not counted yet, above the mark or below it, has the shape. Few are not counted, which
-- a planner without statistics cannot know: it would scan the partition from its start.
CREATE FUNCTION journal.is_uncounted(shape bigint) RETURNS boolean LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    counted_no bigint := (SELECT p.sequence_no FROM journal.shape_position p);
    found boolean;
BEGIN
    EXECUTE 'SELECT EXISTS (SELECT FROM journal.revision r WHERE r.sequence_no > $1 AND r.shape = $2)'
    INTO found USING counted_no, shape;
    RETURN found;
END $$;

-- Delete shapes that no document has any more: those named, and those whose counts are zero. The caller holds the
-- strand's lock alone, so no intake is about to use one.
CREATE FUNCTION journal.forget_shapes(shapes bigint[]) RETURNS void LANGUAGE sql AS $$
    WITH unused AS (DELETE FROM journal.shape_count WHERE revisions = 0 RETURNING shape)
    DELETE FROM journal.shape s
    WHERE (s.shape = ANY (shapes) OR s.shape IN (SELECT shape FROM unused))
      AND NOT EXISTS (SELECT FROM journal.shape_count c WHERE c.shape = s.shape AND c.revisions > 0)
      AND NOT journal.is_uncounted(s.shape);
$$;

-- Counts by table and shape, up to the mark.
CREATE VIEW journal.table_shape AS
    SELECT table_id, shape, sum(revisions)::bigint AS revisions, min(first_no) AS first_no, max(last_no) AS last_no
    FROM (
        SELECT table_id, shape, revisions, first_no, last_no FROM journal.shape_count
        UNION ALL
        SELECT table_id, shape, revisions, first_no, last_no FROM journal.uncounted_shapes()
    ) AS counted
    GROUP BY table_id, shape
    HAVING sum(revisions) > 0;

-- ---------------------------------------------------------------------------------------------------------------------
-- The write side (ledger/). All of it except journal.request can be derived from the journal again.

-- Requests that have been executed, by the id that the caller gave. The result is not kept: it is derived from the
-- journal again.
CREATE TABLE journal.request (
    request_id     text PRIMARY KEY,
    transaction_id text NOT NULL,
    sequence_no    bigint NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT now()
);

-- Streams that this ledger writes, as QLDB did, and the last block whose records are all in the stream.
CREATE TABLE journal.outbound_stream (
    name        text PRIMARY KEY,
    sequence_no bigint NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT now(),
    ends_at     timestamptz,  -- NULL: no end
    completed   boolean NOT NULL DEFAULT false
);

-- Look-ups by equality on an indexed field: for each current document a hash of its value, which leads to the document;
-- the value itself is compared there. Older revisions have no row, so a redaction leaves nothing here.
CREATE TABLE journal.lookup (
    table_id    text NOT NULL,
    field       text NOT NULL,
    value_hash  bigint NOT NULL,
    document_id text NOT NULL,
    PRIMARY KEY (table_id, field, value_hash, document_id)
);
CREATE INDEX lookup_document ON journal.lookup (document_id);
ALTER TABLE journal.lookup ALTER value_hash SET STATISTICS 0;

-- The indexes whose look-ups are filled, and the last block that all look-ups reflect.
CREATE TABLE journal.lookup_index (
    table_id text NOT NULL,
    field    text NOT NULL,
    PRIMARY KEY (table_id, field)
);
CREATE TABLE journal.lookup_position (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sequence_no bigint NOT NULL DEFAULT -1,
    change_id   bigint NOT NULL DEFAULT 0  -- last row of journal.change that they reflect
);
INSERT INTO journal.lookup_position DEFAULT VALUES;

CREATE FUNCTION journal.value_hash(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_hash_extended(value, 0);
GRANT EXECUTE ON FUNCTION journal.value_hash TO strandline_auditor;

-- The mark, the time of its block, and whether any candidate lies above it.
CREATE FUNCTION journal.strand_end(
    OUT strand_id text, OUT origin bigint, OUT sequence_no bigint, OUT block_hash bytea, OUT block_time timestamptz,
    OUT candidates boolean)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    SELECT m.strand_id, m.origin, m.sequence_no, m.block_hash,
           (SELECT b.block_time FROM journal.block b
            WHERE b.sequence_no = m.sequence_no AND b.block_hash = m.block_hash)
    INTO strand_id, origin, sequence_no, block_hash, block_time
    FROM journal.mark m;
    -- ORDER BY makes the planner use the index: usually there is nothing to find.
    PERFORM FROM journal.block b
    WHERE b.sequence_no > strand_end.sequence_no ORDER BY b.sequence_no, b.block_hash LIMIT 1;
    candidates := FOUND;
    -- With the number as a constant, no partition below it is planned for.
    IF NOT candidates THEN
        EXECUTE '
            SELECT (SELECT true FROM journal.revision r
                    WHERE r.sequence_no > $1 ORDER BY r.sequence_no LIMIT 1) IS NOT NULL'
        INTO candidates USING sequence_no;
    END IF;
END $$;

-- Bring the look-ups to the mark. An append calls this in its own transaction; after replays it catches up.
-- Joins are nested loops over few documents: by hash joins the planner, which cannot know how few, would read them all.
CREATE FUNCTION journal.follow_lookups() RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    at journal.lookup_position;
    mark_no bigint;
    newest_change bigint;
    touched text[];
    added record;
BEGIN
    SELECT * INTO at FROM journal.lookup_position FOR UPDATE;
    SELECT m.sequence_no INTO mark_no FROM journal.mark m;
    SELECT coalesce(max(id), 0) INTO newest_change FROM journal.change;
    IF newest_change > at.change_id THEN  -- a block below the mark changed: fill all look-ups again
        DELETE FROM journal.lookup;
        DELETE FROM journal.lookup_index;
    END IF;
    IF mark_no > at.sequence_no AND EXISTS (SELECT FROM journal.lookup_index) THEN
        EXECUTE 'SELECT ARRAY(
            SELECT DISTINCT document_id FROM journal.revision WHERE sequence_no > $1 AND sequence_no <= $2)'
        INTO touched USING at.sequence_no, mark_no;
        DELETE FROM journal.lookup WHERE document_id = ANY (touched);
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, i.field, journal.value_hash(r.data -> i.field), r.document_id
        FROM unnest(touched) AS t (document_id)
        JOIN journal.document d USING (document_id)
        JOIN journal.lookup_index i ON i.table_id = d.table_id
        CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
        WHERE r.data -> i.field IS NOT NULL;
    END IF;
    FOR added IN
        SELECT u.table_id, f.field FROM journal.user_table u, unnest(u.indexes) AS f (field)
        WHERE NOT EXISTS (
            SELECT FROM journal.lookup_index i WHERE i.table_id = u.table_id AND i.field = f.field)
    LOOP
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, added.field, journal.value_hash(r.data -> added.field), r.document_id
        FROM journal.document d
        CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
        WHERE d.table_id = added.table_id AND NOT d.deleted
          AND r.data -> added.field IS NOT NULL;
        INSERT INTO journal.lookup_index (table_id, field) VALUES (added.table_id, added.field);
    END LOOP;
    IF (at.sequence_no, at.change_id) IS DISTINCT FROM (mark_no, newest_change) THEN
        UPDATE journal.lookup_position SET sequence_no = mark_no, change_id = newest_change;
    END IF;
END $$;

-- Append blocks that bring revisions of known tables, and no more, in one statement. Returns false, with nothing written, if
-- they do not follow the mark, or if candidates lie above it. What follows from them is what `raise_mark` does
-- (consumer/mark/effects.py), without reading them back. `shapes` has the fields of each shape, by its number; `requests`
-- is NULL or [{"request_id", "transaction_id", "sequence_no"}]. Their partition exists. The transaction is READ COMMITTED: the
-- look at the mark sees what was committed before the lock was taken.
CREATE FUNCTION journal.append(blocks journal.block[], revisions journal.revision[], shapes jsonb, requests jsonb)
RETURNS boolean LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    before_no bigint := blocks[1].sequence_no - 1;
    last_no bigint := blocks[cardinality(blocks)].sequence_no;
    follow boolean;
BEGIN
    LOCK TABLE journal.strand_lock IN EXCLUSIVE MODE;
    SELECT e.sequence_no = before_no AND e.block_hash = blocks[1].previous_hash AND NOT e.candidates INTO follow
    FROM journal.strand_end() e;
    IF follow IS NOT TRUE THEN
        RETURN false;
    END IF;
    INSERT INTO journal.shape (shape, fields) SELECT key::bigint, value FROM jsonb_each(shapes) ORDER BY 1
    ON CONFLICT (shape) DO NOTHING;
    INSERT INTO journal.block SELECT * FROM unnest(blocks);
    INSERT INTO journal.revision SELECT * FROM unnest(revisions);
    IF requests IS NOT NULL THEN
        INSERT INTO journal.request (request_id, transaction_id, sequence_no)
        SELECT * FROM jsonb_to_recordset(requests) AS r (request_id text, transaction_id text, sequence_no bigint);
    END IF;
    INSERT INTO journal.document_version (document_id, version, sequence_no)
    SELECT document_id, version, sequence_no FROM unnest(revisions);
    INSERT INTO journal.document AS d (document_id, table_id, version, sequence_no, deleted)
    SELECT DISTINCT ON (document_id) document_id, table_id, version, sequence_no, state = 'deleted'
    FROM unnest(revisions) ORDER BY document_id, version DESC
    ON CONFLICT (document_id) DO UPDATE
    SET table_id = excluded.table_id, version = excluded.version, sequence_no = excluded.sequence_no,
        deleted = excluded.deleted;
    IF EXISTS (SELECT FROM journal.found_by) THEN
        INSERT INTO journal.found_text (table_name, field, text_hash, document_id)
        SELECT f.table_name, f.field, hashtextextended(r.data ->> f.field, 0), r.document_id
        FROM unnest(revisions) AS r JOIN journal.found_by f ON f.table_name IN (r.table_name, '')
        WHERE r.data ->> f.field IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE journal.mark
    SET sequence_no = last_no, block_hash = blocks[cardinality(blocks)].block_hash, moved_at = now();
    IF before_no / 1000 <> last_no / 1000 THEN
        PERFORM journal.count_shapes(1000);
    END IF;
    UPDATE journal.lookup_position SET sequence_no = last_no
    WHERE sequence_no = before_no AND change_id = coalesce((SELECT max(id) FROM journal.change), 0);
    IF NOT FOUND THEN  -- they have to catch up first
        PERFORM journal.follow_lookups();
    ELSE
        DELETE FROM journal.lookup
        WHERE document_id IN (SELECT r.document_id FROM unnest(revisions) AS r WHERE r.version > 0);
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, i.field, journal.value_hash(r.data -> i.field), r.document_id
        FROM (SELECT DISTINCT ON (document_id) * FROM unnest(revisions) ORDER BY document_id, version DESC) AS r
        JOIN journal.lookup_index i ON i.table_id = r.table_id
        WHERE r.data -> i.field IS NOT NULL;
    END IF;
    PERFORM pg_notify('strandline_mark', '');
    RETURN true;
END $$;
-- ---------------------------------------------------------------------------------------------------------------------
-- Saved digests that were checked against the store (`verify --digest`, and the console).
CREATE TABLE journal.digest_check (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea NOT NULL,
    tip        bigint,            -- the last block that the digest covers; NULL if that is not known
    answer     text NOT NULL CHECK (answer IN ('holds', 'does not hold', 'cannot be checked')),
    level      text NOT NULL,     -- of the blocks that were checked
    qldb       boolean NOT NULL,  -- QLDB wrote every block up to the tip: none of them was appended by Strandline
    checked_by text NOT NULL,     -- 'command', or who asked the console
    checked_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON journal.digest_check TO strandline_operator;

-- Blocks that came as JSON and were searched for their Ion types (journal/restore). Names of tables and fields only.
CREATE TABLE journal.restored_block (
    sequence_no bigint PRIMARY KEY,
    lifted      jsonb NOT NULL,  -- {table: revisions}: those that have the types that their hashes confirm
    held_out    jsonb NOT NULL   -- [[table, field]]: those whose types were not found; the block then stays JSON
);

-- What came as JSON, summed up over the blocks up to `through_no`, at or below the mark, so that `status` reads only the rows
-- above it. It holds as long as no block below it changes: `change_id` is the last row of journal.change that it reflects.
CREATE TABLE journal.json_sum (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    through_no bigint NOT NULL DEFAULT -1,
    change_id  bigint NOT NULL DEFAULT 0,
    unverified bigint NOT NULL DEFAULT 0,    -- blocks that are JSON
    lifted     jsonb NOT NULL DEFAULT '{}',  -- {table: revisions} of blocks that are Ion now
    held_out   jsonb NOT NULL DEFAULT '[]'   -- [[table, field, revisions]] of blocks that are JSON
);
INSERT INTO journal.json_sum DEFAULT VALUES;

-- Verifications of the store that held (`verify`): which blocks, and when. `block_hash` is that of block last_no. The time
-- is that of the beginning: a change after it may not have been seen. Login and end are not the writer's to say.
CREATE TABLE journal.verification (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_no    bigint NOT NULL,
    last_no     bigint NOT NULL CHECK (last_no >= first_no),
    block_hash  bytea NOT NULL,
    level       text NOT NULL,
    began_at    timestamptz NOT NULL CHECK (began_at <= ended_at),
    ended_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    verified_by text NOT NULL DEFAULT session_user
);
GRANT SELECT ON journal.verification TO strandline_operator;
GRANT INSERT (first_no, last_no, block_hash, level, began_at) ON journal.verification TO strandline_auditor;
