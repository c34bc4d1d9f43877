-- Schema read: what analysts see. Projectors create its views, one for each read model; these functions query some of them.
GRANT USAGE ON SCHEMA read TO strandline_analyst, strandline_cleared;

-- The read models and how fresh they are. An analyst sees that a restricted one exists, but not how large it is.
CREATE VIEW read.read_models AS
SELECT g.projection AS name, g.purpose, access.readers, g.store,
       CASE WHEN g.failure IS NOT NULL THEN 'failing' WHEN g.passed_change THEN 'needs_rebuild' ELSE 'live' END AS state,
       g.position AS as_of_block,
       (SELECT max(b.block_time) FROM journal.block b WHERE b.sequence_no = g.position) AS as_of_time,
       m.sequence_no - g.position AS blocks_behind,
       seen.rows, seen.parked
FROM projection.generation g
CROSS JOIN journal.mark m
CROSS JOIN LATERAL (
    SELECT CASE WHEN view IS NULL THEN g.readers WHEN has_table_privilege('strandline_analyst', view, 'SELECT')
                THEN 'analysts' ELSE 'cleared' END AS readers
    FROM to_regclass(format('read.%I', g.projection)) AS view
) AS access
LEFT JOIN LATERAL (
    -- By name in the catalog: readers may not look a relation up in these schemas.
    SELECT (SELECT pg_stat_get_live_tuples(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = CASE g.store WHEN 'postgresql' THEN 'generation' ELSE 'projection' END
              AND c.relname = CASE g.store WHEN 'postgresql' THEN g.relation ELSE 'outside_row_' || g.generation END
           ) AS rows,
           (SELECT count(*) FROM projection.parked p WHERE p.generation = g.generation) AS parked
) AS seen ON access.readers = 'analysts' OR pg_has_role('strandline_cleared', 'USAGE')
WHERE g.state = 'live';
COMMENT ON VIEW read.read_models IS 'The read models, and how fresh they are.';
COMMENT ON COLUMN read.read_models.name IS 'Name of the view in schema read, or of the alias in OpenSearch.';
COMMENT ON COLUMN read.read_models.readers IS 'Who may read it: analysts, or only those who are cleared.';
COMMENT ON COLUMN read.read_models.state IS 'live, failing, or needs_rebuild: blocks below as_of_block have changed.';
COMMENT ON COLUMN read.read_models.as_of_block IS 'It reflects the ledger up to this block.';
COMMENT ON COLUMN read.read_models.as_of_time IS 'The time of that block, by the ledger''s clock.';
COMMENT ON COLUMN read.read_models.blocks_behind IS 'Verified blocks that it does not reflect yet.';
COMMENT ON COLUMN read.read_models.rows IS 'Number of rows, as the database''s statistics estimate it.';
COMMENT ON COLUMN read.read_models.parked IS 'Documents, keys or blocks that could not be projected.';
GRANT SELECT ON read.read_models TO strandline_analyst, strandline_cleared;

-- Everything that a thing comes from, and everything that comes from it, level by level. Each relation is visited once:
-- cycles end, and a thing that is reached by many paths costs no more than one that is reached by one.
CREATE FUNCTION read.provenance_sources(start text)
RETURNS TABLE (depth integer, thing text, relation text, source text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    level integer := 0;
    frontier text[] := ARRAY[start];
    seen text[] := ARRAY[start];
BEGIN
    IF to_regclass('read.provenance_lineage') IS NULL THEN
        RAISE EXCEPTION 'There is no read model provenance_lineage: the ledger has no provenance yet.'
            USING ERRCODE = 'undefined_table';
    END IF;
    WHILE cardinality(frontier) > 0 LOOP
        level := level + 1;
        RETURN QUERY
            SELECT DISTINCT level, l.thing, l.relation, l.source FROM read.provenance_lineage l
            WHERE l.thing = ANY (frontier) AND l.relation IS NOT NULL ORDER BY 2, 3, 4;
        frontier := ARRAY(
            SELECT DISTINCT l.source FROM read.provenance_lineage l
            WHERE l.thing = ANY (frontier) AND l.relation IS NOT NULL AND l.source <> ALL (seen));
        seen := seen || frontier;
    END LOOP;
END $$;
COMMENT ON FUNCTION read.provenance_sources IS 'Every relation on the way back from a thing to all that it comes from; depth 1 is its own.';
REVOKE EXECUTE ON FUNCTION read.provenance_sources FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.provenance_sources TO strandline_analyst, strandline_cleared;

CREATE FUNCTION read.provenance_results(start text)
RETURNS TABLE (depth integer, thing text, relation text, source text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    level integer := 0;
    frontier text[] := ARRAY[start];
    seen text[] := ARRAY[start];
BEGIN
    IF to_regclass('read.provenance_lineage') IS NULL THEN
        RAISE EXCEPTION 'There is no read model provenance_lineage: the ledger has no provenance yet.'
            USING ERRCODE = 'undefined_table';
    END IF;
    WHILE cardinality(frontier) > 0 LOOP
        level := level + 1;
        RETURN QUERY
            SELECT DISTINCT level, l.thing, l.relation, l.source FROM read.provenance_lineage l
            WHERE l.source = ANY (frontier) AND l.relation IS NOT NULL ORDER BY 2, 3, 4;
        frontier := ARRAY(
            SELECT DISTINCT l.thing FROM read.provenance_lineage l
            WHERE l.source = ANY (frontier) AND l.relation IS NOT NULL AND l.thing <> ALL (seen));
        seen := seen || frontier;
    END LOOP;
END $$;
COMMENT ON FUNCTION read.provenance_results IS 'Every relation on the way from a thing to all that comes from it; depth 1 is what comes from it directly.';
REVOKE EXECUTE ON FUNCTION read.provenance_results FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.provenance_results TO strandline_analyst, strandline_cleared;

-- Alterations of audit events, which should stay as they were recorded. Runs with the rights of its caller, who needs to
-- read the timeline.
CREATE FUNCTION read.ai_audit_alterations()
RETURNS TABLE (event_id text, alteration text, altered_at timestamptz, document_id text, version bigint, block bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('read.ai_audit_timeline') IS NULL THEN
        RAISE EXCEPTION 'There is no read model ai_audit_timeline: the ledger has no audit events yet.'
            USING ERRCODE = 'undefined_table';
    END IF;
    RETURN QUERY
        SELECT coalesce(t.event_id, first.event_id), t.entry, t.recorded_at, t.source_document, t.source_version,
               t.source_block
        FROM read.ai_audit_timeline t
        LEFT JOIN read.ai_audit_timeline first
               ON first.source_document = t.source_document AND first.source_version = 0
        WHERE t.entry <> 'recorded'
        UNION ALL
        SELECT again.event_id, 'recorded again', again.recorded_at, again.source_document, again.source_version,
               again.source_block
        FROM read.ai_audit_timeline again
        WHERE again.source_version = 0 AND EXISTS (
            SELECT FROM read.ai_audit_timeline before
            WHERE before.event_id = again.event_id AND before.source_document <> again.source_document
              AND before.source_version = 0
              AND (before.source_block, before.source_document) < (again.source_block, again.source_document))
        ORDER BY 6, 4, 5;
END $$;
REVOKE EXECUTE ON FUNCTION read.ai_audit_alterations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.ai_audit_alterations TO strandline_cleared;

-- ---------------------------------------------------------------------------------------------------------------------
-- Exports. A reader may not write the register; these functions, with their owner's rights, check what the login may do.

-- Register a copy of a read model as the transaction's snapshot shows it, with the revisions that its rows come from. A
-- redacted revision whose data the generation has lost is none of them.
CREATE FUNCTION read.register_export(read_model text, place text, keep interval)
RETURNS TABLE (export bigint, as_of_block bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    live projection.generation;
    number bigint;
    sources text;
BEGIN
    SELECT * INTO live FROM projection.generation g WHERE g.projection = read_model AND g.state = 'live';
    IF live.generation IS NULL OR to_regclass(format('read.%I', read_model)) IS NULL THEN
        RAISE EXCEPTION 'There is no such read model.' USING ERRCODE = 'undefined_table';
    END IF;
    IF NOT has_table_privilege(session_user, to_regclass(format('read.%I', read_model)), 'SELECT') THEN
        RAISE EXCEPTION 'This login may not read the read model.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO projection.export AS e (projection, as_of_block, place, exported_by, expires_at)
    VALUES (read_model, live.position, place, session_user, now() + keep)
    RETURNING e.export INTO number;
    sources := format('SELECT document_id, version FROM projection.source WHERE generation = %s', live.generation);
    IF EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = to_regclass(format('generation.%I', live.relation))
                 AND a.attname = 'source_version') THEN
        sources := format('SELECT source_document AS document_id, source_version AS version FROM generation.%I '
                          'WHERE source_document IS NOT NULL AND source_version IS NOT NULL', live.relation);
    END IF;
    EXECUTE format(
        'INSERT INTO projection.export_source (export, document_id, version) '
        'SELECT DISTINCT $1, s.document_id, s.version FROM (%s) AS s WHERE NOT EXISTS ('
        'SELECT FROM journal.redaction d, journal.mark m WHERE d.document_id = s.document_id '
        'AND d.version = s.version AND d.found IS NOT NULL AND d.effective_no <= least(m.sequence_no, $2))', sources)
    USING number, live.clean_no;
    RETURN QUERY SELECT number, live.position;
END $$;

-- Note that a copy is complete, and that it has overwritten this login's earlier ones at its place.
CREATE FUNCTION read.complete_export(number bigint, exported_rows bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done projection.export;
    earlier bigint[];
BEGIN
    UPDATE projection.export e SET completed_at = now(), rows = exported_rows
    WHERE e.export = number AND e.exported_by = session_user AND e.completed_at IS NULL AND e.deleted_at IS NULL
    RETURNING * INTO done;
    IF done.export IS NULL THEN
        RETURN false;
    END IF;
    earlier := ARRAY(SELECT e.export FROM projection.export e
                     WHERE e.place = done.place AND e.exported_by = session_user AND e.export < number);
    UPDATE projection.export e SET deleted_at = now() WHERE e.export = ANY (earlier) AND e.deleted_at IS NULL;
    DELETE FROM projection.export_source s WHERE s.export = ANY (earlier);
    RETURN true;
END $$;

-- Note that a copy is gone: for the login that made it, and for the owner.
CREATE FUNCTION read.forget_export(number bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE projection.export e SET deleted_at = now()
    WHERE e.export = number AND e.deleted_at IS NULL
      AND (e.exported_by = session_user OR pg_has_role(session_user, 'strandline_worker', 'MEMBER'));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM projection.export_source s WHERE s.export = number;
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION read.register_export, read.complete_export, read.forget_export FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.register_export, read.complete_export, read.forget_export
    TO strandline_analyst, strandline_cleared;
