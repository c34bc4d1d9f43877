-- What each composed key's rows were made from, so that a change or an erasure of a document reaches all of them.
CREATE TABLE projection.source (
    generation  bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    key         text NOT NULL,
    document_id text NOT NULL,
    version     bigint NOT NULL,
    PRIMARY KEY (generation, key, document_id, version)
);
CREATE INDEX source_document ON projection.source (generation, document_id);
-- A composed key is of the payload.
ALTER TABLE projection.source ALTER key SET STATISTICS 0;
ALTER TABLE projection.parked ALTER key SET STATISTICS 0;

-- A document and a composed key, which has no version, may have one name.
ALTER TABLE projection.parked DROP CONSTRAINT parked_pkey;
CREATE UNIQUE INDEX parked_key ON projection.parked (generation, key, (version IS NULL));

-- Finds revisions of a ledger's table by the text in a field; made when a composed projection first asks for it. Of the
-- text's hash, so that a text of any length has room, and of no other table's revisions, so that they cost nothing.
CREATE FUNCTION journal.ensure_found_by(found_table text, field text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'revision_by_' || left(encode(sha256(convert_to(format('%I.%I', found_table, field), 'UTF8')), 'hex'), 16);
BEGIN
    IF to_regclass(format('journal.%I', name)) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('journal.ensure_found_by'));
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %I ON journal.revision (hashtextextended(data ->> %L, 0)) WHERE table_name = %L',
            name, field, found_table);
        EXECUTE format('COMMENT ON INDEX journal.%I IS %L', name, format('%I by its field %I', found_table, field));
        PERFORM journal.without_statistics(name);
    END IF;
END $$;

-- PostgreSQL's histograms keep the hashes of what is deleted; a partition does not inherit the setting.
CREATE FUNCTION journal.without_statistics(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    index regclass;
BEGIN
    FOR index IN SELECT relid FROM pg_partition_tree(format('journal.%I', name)::regclass) LOOP
        EXECUTE format('ALTER INDEX %s ALTER COLUMN 1 SET STATISTICS 0', index);
    END LOOP;
END $$;

-- As before, and the indexes of a new partition have no statistics either.
CREATE OR REPLACE FUNCTION journal.ensure_partitions(first_no bigint, last_no bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    width CONSTANT bigint := 100000;
    part bigint;
    name text;
BEGIN
    FOR part IN SELECT generate_series(first_no / width, last_no / width) LOOP
        name := format('revision_%s', part);
        IF to_regclass(format('journal.%I', name)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('journal.ensure_partitions'));
            IF NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'journal'::regnamespace) THEN
                EXECUTE format('CREATE TABLE journal.%I (LIKE journal.revision INCLUDING CONSTRAINTS)', name);
                EXECUTE format('ALTER TABLE journal.%I ALTER data SET STATISTICS 0, ALTER data_ion SET STATISTICS 0', name);
                EXECUTE format('ALTER TABLE journal.revision ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                               name, part * width, (part + 1) * width);
                PERFORM journal.without_statistics(relname)
                FROM pg_class WHERE relnamespace = 'journal'::regnamespace AND relkind = 'I' AND relname LIKE 'revision\_by\_%';
            END IF;
        END IF;
    END LOOP;
END $$;
