-- What fields the documents of each table have: names, Ion types and how often, counted while the journal comes in.

-- A shape is the set of a document's fields and their types (journal/fields.py); very many documents share one. It holds
-- names and no values, and goes with the last document that had it.
CREATE TABLE journal.shape (
    shape  bigint PRIMARY KEY,  -- hash of `fields`
    fields jsonb NOT NULL       -- [[type, name, name within that, ...], ...]; "[]" is a member of a list
);
ALTER TABLE journal.shape ALTER fields SET STATISTICS 0;

ALTER TABLE journal.revision ADD shape bigint;  -- of `data`; NULL where there is none

-- Revisions with data, by shape, up to the block that all counts take account of. The rest, up to the mark, is counted
-- when it is asked for: a step of the mark that passes a few blocks need not write here.
CREATE TABLE journal.shape_count (
    table_id  text NOT NULL,
    shape     bigint NOT NULL,
    revisions bigint NOT NULL,
    first_no  bigint NOT NULL,  -- block where it was first seen, also in what was erased since
    last_no   bigint NOT NULL,
    PRIMARY KEY (table_id, shape)
);
CREATE TABLE journal.shape_position (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sequence_no bigint NOT NULL DEFAULT -1
);
INSERT INTO journal.shape_position DEFAULT VALUES;

-- Counts up to the mark, once it is so many blocks ahead. The caller holds the strand's lock alone.
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
    SELECT r.table_id, r.shape, count(*), min(r.sequence_no), max(r.sequence_no)
    FROM journal.revision r
    WHERE r.sequence_no > counted_no AND r.sequence_no <= mark_no AND r.table_id IS NOT NULL AND r.shape IS NOT NULL
    GROUP BY r.table_id, r.shape ORDER BY r.table_id, r.shape
    ON CONFLICT (table_id, shape) DO UPDATE
    SET revisions = c.revisions + excluded.revisions, first_no = least(c.first_no, excluded.first_no),
        last_no = greatest(c.last_no, excluded.last_no);
    UPDATE journal.shape_position SET sequence_no = mark_no;
END $$;

-- What changed in blocks that are counted: so many revisions more, or fewer, of a table and shape, each in a block. One
-- statement, in the order of the key: two that change the same counts wait for each other, and never in a circle.
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

-- Lets go of shapes that no document has any more: those named, and those whose counts have come to nothing. The caller
-- holds the strand's lock alone, so no intake is about to use one.
CREATE FUNCTION journal.forget_shapes(shapes bigint[]) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM journal.shape_count WHERE revisions = 0 RETURNING shape)
    DELETE FROM journal.shape s
    WHERE (s.shape = ANY (shapes) OR s.shape IN (SELECT shape FROM gone))
      AND NOT EXISTS (SELECT FROM journal.shape_count c WHERE c.shape = s.shape AND c.revisions > 0)
      AND NOT EXISTS (
          SELECT FROM journal.revision r
          WHERE r.sequence_no > (SELECT sequence_no FROM journal.shape_position) AND r.shape = s.shape);
$$;

CREATE VIEW journal.table_shape AS
    SELECT table_id, shape, sum(revisions)::bigint AS revisions, min(first_no) AS first_no, max(last_no) AS last_no
    FROM (
        SELECT table_id, shape, revisions, first_no, last_no FROM journal.shape_count
        UNION ALL
        SELECT r.table_id, r.shape, count(*), min(r.sequence_no), max(r.sequence_no)
        FROM journal.revision r
        WHERE r.sequence_no > (SELECT sequence_no FROM journal.shape_position)
          AND r.sequence_no <= (SELECT sequence_no FROM journal.mark)
          AND r.table_id IS NOT NULL AND r.shape IS NOT NULL
        GROUP BY r.table_id, r.shape
    ) AS counted
    GROUP BY table_id, shape
    HAVING sum(revisions) > 0;

-- A row for each field of a table and each type that it has had. `share` is of the table's revisions with data.
CREATE VIEW ledger.user_table_fields AS
    SELECT t.table_id, t.name, array_to_string(f.path, '.') AS field, f.type,
           sum(s.revisions)::bigint AS revisions,
           round(sum(s.revisions) / min(s.of_table), 4) AS share,
           min(s.first_no) AS first_no, max(s.last_no) AS last_no, f.path
    FROM (SELECT *, sum(revisions) OVER (PARTITION BY table_id) AS of_table FROM journal.table_shape) AS s
    JOIN journal.user_table t USING (table_id)
    JOIN journal.shape d USING (shape),
    LATERAL (
        SELECT e ->> 0 AS type, ARRAY(SELECT jsonb_array_elements_text(e - 0)) AS path
        FROM jsonb_array_elements(d.fields) AS e) AS f
    GROUP BY t.table_id, t.name, f.path, f.type;
GRANT SELECT ON ledger.user_table_fields TO strandline_cleared;

CREATE OR REPLACE VIEW ledger.user_tables AS
    SELECT t.table_id, t.name, t.status, t.indexes, t.view_name, f.fields
    FROM journal.user_table t
    LEFT JOIN (
        SELECT table_id,
               jsonb_agg(
                   jsonb_build_object('field', field, 'type', type, 'revisions', revisions, 'share', share)
                   ORDER BY path, type) AS fields
        FROM ledger.user_table_fields GROUP BY table_id) AS f USING (table_id);
