-- QLDB's own way of looking at any ledger, as of the mark. Views of tables come with the tables (consumer/catalog.py).
CREATE SCHEMA IF NOT EXISTS ledger;
GRANT USAGE ON SCHEMA ledger TO strandline_cleared;

CREATE VIEW ledger.user_tables AS
    SELECT table_id, name, status, indexes, view_name FROM journal.user_table;
GRANT SELECT ON ledger.user_tables TO strandline_cleared;

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

-- The last revision of every document that is not deleted; the views of tables select from it by table id.
CREATE VIEW journal.current_revision AS
    SELECT r.*
    FROM journal.committed_revision r
    WHERE r.state <> 'deleted'
      AND NOT EXISTS (
          SELECT FROM journal.revision later, journal.mark m
          WHERE later.document_id = r.document_id AND later.version > r.version AND later.sequence_no <= m.sequence_no);

-- Each revision with the time at which the next one took its place. Partitioned by the table's name too, so that a
-- condition on it, or on the document, is met before the window is computed.
CREATE VIEW journal.revision_period AS
    SELECT r.*, lead(r.tx_time) OVER (PARTITION BY r.table_name, r.document_id ORDER BY r.version) AS replaced_at
    FROM journal.committed_revision r;
-- Nobody but the worker may use schema journal, so this right serves ledger.history alone, whose body is bound to it.
GRANT SELECT ON journal.revision_period TO strandline_cleared;

-- QLDB's history function: the revisions that were active at some time of the period, deletions too. Not SECURITY DEFINER:
-- only so can PostgreSQL inline it, and look up one document's history (WHERE document_id = ...) by the index.
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
