-- Schema ledger: any ledger as QLDB showed it, as of the mark, for strandline_cleared. The views of its tables are created
-- with the tables (consumer/store/catalog.py).
CREATE SCHEMA IF NOT EXISTS ledger;
GRANT USAGE ON SCHEMA ledger TO strandline_cleared, strandline_operator;

-- A revision in the shape of QLDB's committed view.
CREATE FUNCTION journal.block_address(r journal.revision, strand_id text) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object('strandId', strand_id, 'sequenceNo', r.sequence_no);
CREATE FUNCTION journal.metadata(r journal.revision) RETURNS jsonb LANGUAGE sql STABLE
RETURN jsonb_build_object(
    'id', r.document_id,
    'version', r.version,
    'txTime', to_char(r.tx_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'txId', r.tx_id);

-- The last revision of every document, unless it is a deletion; the views of tables select from it by table id.
CREATE VIEW journal.current_revision AS
    SELECT d.table_id, journal.block_address(r, m.strand_id) AS block_address, r.hash, r.state, r.data, r.data_hash,
           journal.metadata(r) AS metadata, d.document_id, d.version
    FROM journal.document d
    CROSS JOIN journal.mark m
    CROSS JOIN LATERAL journal.revision_at(d.sequence_no, d.document_id, d.version) r
    WHERE NOT d.deleted;

-- Each revision up to the mark with the time at which the next one replaced it. The window is partitioned by the table's
-- name too, so that PostgreSQL applies a condition on the table or the document before it computes the window.
CREATE VIEW journal.revision_period AS
    SELECT t.name AS table_name, journal.block_address(r, m.strand_id) AS block_address, r.hash, r.state, r.data,
           r.data_hash, journal.metadata(r) AS metadata, v.document_id, v.version, r.tx_time,
           lead(r.tx_time) OVER (PARTITION BY t.name, v.document_id ORDER BY v.version) AS replaced_at
    FROM journal.user_table t
    JOIN journal.document d USING (table_id)
    JOIN journal.document_version v USING (document_id)
    CROSS JOIN journal.mark m
    CROSS JOIN LATERAL journal.revision_at(v.sequence_no, v.document_id, v.version) r;
-- Only the worker may use schema journal, so this right serves ledger.history alone, whose body is bound to the view.
GRANT SELECT ON journal.revision_period TO strandline_cleared;
-- Functions in a view run with the rights of its reader.
GRANT EXECUTE ON FUNCTION journal.revision_at, journal.block_address, journal.metadata TO strandline_cleared, strandline_auditor;
GRANT EXECUTE ON FUNCTION journal.uncounted_shapes TO strandline_cleared, strandline_operator, strandline_auditor;

-- QLDB's history function: the revisions that were active at any time of the period, deletions included. It is not
-- SECURITY DEFINER, so that PostgreSQL can inline it and find one document's history (WHERE document_id = …) by index.
CREATE FUNCTION ledger.history(
    table_name text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (
    block_address jsonb, hash bytea, state text, data jsonb, data_hash bytea, metadata jsonb, document_id text, version bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.block_address, p.hash, p.state, p.data, p.data_hash, p.metadata, p.document_id, p.version
    FROM journal.revision_period p
    WHERE p.table_name = history.table_name
      AND (history.to_time IS NULL OR p.tx_time <= history.to_time)
      AND (history.from_time IS NULL OR p.replaced_at IS NULL OR p.replaced_at > history.from_time);
END;
REVOKE EXECUTE ON FUNCTION ledger.history FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.history TO strandline_cleared;

-- One row for each field of a table and each type that it has had. `share` is the share of the table's revisions with data.
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
GRANT SELECT ON ledger.user_table_fields TO strandline_cleared, strandline_operator;

CREATE VIEW ledger.user_tables AS
    SELECT t.table_id, t.name, t.status, t.indexes, t.view_name, f.fields
    FROM journal.user_table t
    LEFT JOIN (
        SELECT table_id,
               jsonb_agg(
                   jsonb_build_object('field', field, 'type', type, 'revisions', revisions, 'share', share)
                   ORDER BY path, type) AS fields
        FROM ledger.user_table_fields GROUP BY table_id) AS f USING (table_id);
GRANT SELECT ON ledger.user_tables TO strandline_cleared;
