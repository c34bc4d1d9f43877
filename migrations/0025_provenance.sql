-- All that a thing comes from, and all that comes from it, level by level, each relation once. So a cycle ends, and a
-- thing that is reached in many ways costs no more than one that is reached in one, as it would by paths.
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
