-- Generations that are no longer filled, because their definition is gone, are purged by source all the same.
ALTER TABLE projection.generation
    ADD purged_no bigint,       -- the last block whose redactions it has met without being filled
    ADD view_query text,        -- what it was shown as, and to whom, before another one was
    ADD view_readers text[],
    -- No redaction up to here has left anything in it.
    ADD clean_no bigint NOT NULL GENERATED ALWAYS AS (greatest(position, purged_no)) STORED;
