-- What was done to audit events that stay as they are recorded: for whoever may read the timeline, as its reader.
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
