-- Schema ledger: any ledger as QLDB showed it, as of the mark, for strandline_cleared. The views of its tables are created
-- with the tables (consumer/store/catalog.py).
CREATE SCHEMA IF NOT EXISTS ledger;
GRANT USAGE ON SCHEMA ledger TO strandline_cleared, strandline_operator;

-- Every revision up to the mark, in the shape of QLDB's committed view.
CREATE VIEW journal.committed_revision AS
    SELECT r.table_id,
           r.table_name,
           jsonb_build_object('strandId', m.strand_id, 'sequenceNo', r.sequence_no) AS block_address,
           r.hash,
           r.state,
           r.data,
           r.data_hash,
           jsonb_build_object(
               'id', r.document_id,
               'version', r.version,
               'txTime', to_char(r.tx_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
               'txId', r.tx_id) AS metadata,
           r.document_id,
           r.version,
           r.tx_time
    FROM journal.revision r, journal.mark m
    WHERE r.sequence_no <= m.sequence_no;

-- The last revision of every document, unless it is a deletion; the views of tables select from it by table id.
CREATE VIEW journal.current_revision AS
    SELECT r.*
    FROM journal.committed_revision r
    WHERE r.state <> 'deleted'
      AND NOT EXISTS (
          SELECT FROM journal.revision later, journal.mark m
          WHERE later.document_id = r.document_id AND later.version > r.version AND later.sequence_no <= m.sequence_no);

-- Each revision with the time at which the next one replaced it. The window is partitioned by the table's name too, so
-- that PostgreSQL applies a condition on the table or the document before it computes the window.
CREATE VIEW journal.revision_period AS
    SELECT r.*, lead(r.tx_time) OVER (PARTITION BY r.table_name, r.document_id ORDER BY r.version) AS replaced_at
    FROM journal.committed_revision r;
-- Only the worker may use schema journal, so this right serves ledger.history alone, whose body is bound to the view.
GRANT SELECT ON journal.revision_period TO strandline_cleared;

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
