-- What a generation's rows come from still goes with it, but is no longer looked up for each row that is written: that cost
-- half as much as writing it. Whoever writes here holds the generation's row, so that it does not go meanwhile.
ALTER TABLE projection.source DROP CONSTRAINT source_generation_fkey;
ALTER TABLE projection.outside_row DROP CONSTRAINT outside_row_generation_fkey;

CREATE FUNCTION projection.forget_sources() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM projection.source WHERE generation = OLD.generation;
    DELETE FROM projection.outside_row WHERE generation = OLD.generation;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_sources AFTER DELETE ON projection.generation
    FOR EACH ROW EXECUTE FUNCTION projection.forget_sources();
