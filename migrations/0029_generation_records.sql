-- What is recorded of a generation stands in tables of its own, below projection.source and projection.outside_row, under
-- which all can be asked for: one that is filled for the first time is written without indexes, which are made when all is
-- there, at a third of the cost; and a generation that goes takes its tables with it, rather than a row at a time.
CREATE FUNCTION projection.create_record(record text, generation bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Inherited, not a partition: to drop one of those waits for every reader of the others, and holds up the next.
    EXECUTE format('CREATE TABLE projection.%I (CHECK (generation = %s)) INHERITS (projection.%I)',
                   record || '_' || generation, generation, record);
    IF record = 'source' THEN
        EXECUTE format('ALTER TABLE projection.%I ALTER key SET STATISTICS 0', record || '_' || generation);
    END IF;
END $$;

CREATE FUNCTION projection.index_record(record text, generation bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF record = 'source' THEN
        EXECUTE format('ALTER TABLE projection.%I ADD PRIMARY KEY (key, document_id, version)', record || '_' || generation);
        EXECUTE format('CREATE INDEX ON projection.%I (document_id)', record || '_' || generation);
    ELSE
        EXECUTE format('ALTER TABLE projection.%I ADD PRIMARY KEY (document, version, row_id)', record || '_' || generation);
    END IF;
END $$;

DROP TRIGGER forget_sources ON projection.generation;
DROP FUNCTION projection.forget_sources();

CREATE FUNCTION projection.drop_records() RETURNS trigger LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS projection.%I, projection.%I',
                   'source_' || OLD.generation, 'outside_row_' || OLD.generation);
    RETURN NULL;
END $$;
CREATE TRIGGER drop_records AFTER DELETE ON projection.generation
    FOR EACH ROW EXECUTE FUNCTION projection.drop_records();

DO $$
DECLARE
    one bigint;
    record text;
BEGIN
    FOR one IN SELECT generation FROM projection.generation LOOP
        FOREACH record IN ARRAY ARRAY['source', 'outside_row'] LOOP
            PERFORM projection.create_record(record, one);
            EXECUTE format('INSERT INTO projection.%I SELECT * FROM ONLY projection.%I WHERE generation = %s',
                           record || '_' || one, record, one);
            PERFORM projection.index_record(record, one);
        END LOOP;
    END LOOP;
END $$;
TRUNCATE ONLY projection.source, ONLY projection.outside_row;
ALTER TABLE projection.source DROP CONSTRAINT source_pkey;
DROP INDEX projection.source_document;
ALTER TABLE projection.outside_row DROP CONSTRAINT outside_row_pkey;
