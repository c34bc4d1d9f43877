-- The write side of the ledger that goes on (ledger/). All of it but journal.request can be made again from the journal.

-- What happened once, by the id that its caller gave it. Its result is not kept: it is derived from the journal again.
CREATE TABLE journal.request (
    request_id     text PRIMARY KEY,
    transaction_id text NOT NULL,
    sequence_no    bigint NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT now()
);

-- Look-ups by equality on an indexed field: for each current document a hash of its value, which only leads to the
-- document; the value is compared there. An older revision has no row, so what a redaction erases is gone from here.
CREATE TABLE journal.lookup (
    table_id    text NOT NULL,
    field       text NOT NULL,
    value_hash  bigint NOT NULL,
    document_id text NOT NULL,
    PRIMARY KEY (table_id, field, value_hash, document_id)
);
CREATE INDEX lookup_document ON journal.lookup (document_id);
ALTER TABLE journal.lookup ALTER value_hash SET STATISTICS 0;

-- The indexes whose look-ups are there, and the last block that all look-ups take account of.
CREATE TABLE journal.lookup_index (
    table_id text NOT NULL,
    field    text NOT NULL,
    PRIMARY KEY (table_id, field)
);
CREATE TABLE journal.lookup_position (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sequence_no bigint NOT NULL DEFAULT -1,
    change_id   bigint NOT NULL DEFAULT 0  -- the last of journal.change that they take account of
);
INSERT INTO journal.lookup_position DEFAULT VALUES;

-- The mark, the time of its block, and whether anything waits above it.
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
    -- Ordered, so that it is the index that is asked: there is mostly nothing to find.
    PERFORM FROM journal.block b
    WHERE b.sequence_no > strand_end.sequence_no ORDER BY b.sequence_no, b.block_hash LIMIT 1;
    candidates := FOUND;
    PERFORM FROM journal.revision r
    WHERE r.sequence_no > strand_end.sequence_no ORDER BY r.sequence_no, r.hash LIMIT 1;
    candidates := candidates OR FOUND;
END $$;

CREATE FUNCTION journal.value_hash(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_hash_extended(value, 0);

-- Brings the look-ups to the mark. An append calls it in its own transaction; what replays brought is caught up with.
-- A few documents out of very many: by hash joins the planner, which cannot know how few, would read them all.
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
    IF newest_change > at.change_id THEN  -- something changed below the mark: all of them anew
        DELETE FROM journal.lookup;
        DELETE FROM journal.lookup_index;
    END IF;
    IF mark_no > at.sequence_no AND EXISTS (SELECT FROM journal.lookup_index) THEN
        touched := ARRAY(
            SELECT DISTINCT document_id FROM journal.revision
            WHERE sequence_no > at.sequence_no AND sequence_no <= mark_no);
        DELETE FROM journal.lookup WHERE document_id = ANY (touched);
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, i.field, journal.value_hash(r.data -> i.field), r.document_id
        FROM unnest(touched) AS t (document_id),
        LATERAL (
            SELECT l.* FROM journal.revision l
            WHERE l.document_id = t.document_id AND l.sequence_no <= mark_no ORDER BY l.version DESC LIMIT 1) AS r
        JOIN journal.lookup_index i ON i.table_id = r.table_id
        WHERE r.data -> i.field IS NOT NULL;
    END IF;
    FOR added IN
        SELECT u.table_id, f.field FROM journal.user_table u, unnest(u.indexes) AS f (field)
        WHERE NOT EXISTS (
            SELECT FROM journal.lookup_index i WHERE i.table_id = u.table_id AND i.field = f.field)
    LOOP
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, added.field, journal.value_hash(r.data -> added.field), r.document_id
        FROM (
            SELECT DISTINCT ON (document_id) * FROM journal.revision
            WHERE table_id = added.table_id AND sequence_no <= mark_no ORDER BY document_id, version DESC) AS r
        WHERE r.data -> added.field IS NOT NULL;
        INSERT INTO journal.lookup_index (table_id, field) VALUES (added.table_id, added.field);
    END LOOP;
    IF (at.sequence_no, at.change_id) IS DISTINCT FROM (mark_no, newest_change) THEN
        UPDATE journal.lookup_position SET sequence_no = mark_no, change_id = newest_change;
    END IF;
END $$;

-- Streams that this ledger writes, as QLDB did, and the last block whose records are all in.
CREATE TABLE journal.outbound_stream (
    name        text PRIMARY KEY,
    sequence_no bigint NOT NULL,
    opened_at   timestamptz NOT NULL DEFAULT now(),
    ends_at     timestamptz,  -- NULL: it goes on for ever
    completed   boolean NOT NULL DEFAULT false
);
