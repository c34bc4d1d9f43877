-- An append in one statement, by a writer who knows the journal's end: where the end is another, or something waits
-- above it, nothing is written and false comes back. The strand's lock is held from the look at the end to the commit;
-- each query of a function sees what was committed before it, so the look is one with the lock held.
CREATE FUNCTION journal.append(
    strand_lock bigint, channel text, at bigint, at_hash bytea,
    blocks journal.block[], revisions journal.revision[], requests text[],
    shapes bigint[], shape_fields jsonb[])
RETURNS boolean LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    last_no bigint := blocks[cardinality(blocks)].sequence_no;
    as_left boolean;
    rewritten text[];
BEGIN
    PERFORM pg_advisory_xact_lock(strand_lock);
    SELECT e.sequence_no = at AND e.block_hash = at_hash AND NOT e.candidates INTO as_left FROM journal.strand_end() e;
    IF as_left IS NOT TRUE THEN
        RETURN false;
    END IF;
    IF shapes IS NOT NULL THEN
        INSERT INTO journal.shape (shape, fields) SELECT * FROM unnest(shapes, shape_fields) ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO journal.block SELECT * FROM unnest(blocks);
    INSERT INTO journal.revision SELECT * FROM unnest(revisions);
    IF requests IS NOT NULL THEN
        INSERT INTO journal.request (request_id, transaction_id, sequence_no)
        SELECT r.request_id, blocks[r.place].transaction_id, blocks[r.place].sequence_no
        FROM unnest(requests) WITH ORDINALITY AS r (request_id, place)
        WHERE r.request_id IS NOT NULL;
    END IF;
    IF at / 1000 <> last_no / 1000 THEN
        PERFORM journal.count_shapes(1000);
    END IF;
    UPDATE journal.mark SET sequence_no = last_no, block_hash = blocks[cardinality(blocks)].block_hash, moved_at = now();
    -- The look-ups, where they stood at the end: what the new revisions say of their documents takes the place of the rest.
    UPDATE journal.lookup_position SET sequence_no = last_no
    WHERE sequence_no = at AND change_id = coalesce((SELECT max(id) FROM journal.change), 0);
    IF FOUND THEN
        rewritten := ARRAY(SELECT r.document_id FROM unnest(revisions) r WHERE r.version > 0);
        IF rewritten <> '{}' THEN
            DELETE FROM journal.lookup WHERE document_id = ANY (rewritten);
        END IF;
        INSERT INTO journal.lookup (table_id, field, value_hash, document_id)
        SELECT r.table_id, i.field, journal.value_hash(r.data -> i.field), r.document_id
        FROM (SELECT DISTINCT ON (document_id) * FROM unnest(revisions) ORDER BY document_id, version DESC) r
        JOIN journal.lookup_index i ON i.table_id = r.table_id
        WHERE r.data -> i.field IS NOT NULL;
    ELSE
        PERFORM journal.follow_lookups();
    END IF;
    PERFORM pg_notify(channel, '');
    RETURN true;
END $$;
