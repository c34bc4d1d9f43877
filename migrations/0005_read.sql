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
