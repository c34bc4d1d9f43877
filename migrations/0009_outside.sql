-- Read models in a store outside this database, which is written before the position moves. Both tables are written by a
-- connection of their own while the control transaction holds the generation, and are committed before anything is sent.

-- The version of the last write: it rises with every write, whoever does it, so that no store takes a late one.
CREATE TABLE projection.outside_version (
    generation bigint PRIMARY KEY REFERENCES projection.generation ON DELETE CASCADE,
    version    bigint NOT NULL
);

-- Which rows outside come from which source: here before they are sent, and until they are known to be gone.
CREATE TABLE projection.outside_row (
    generation bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    document   text NOT NULL,   -- '' for a row that comes from a block; the hash of a composed key
    version    bigint NOT NULL, -- the block's number; 0 of a composed key
    row_id     text NOT NULL,   -- of ids, numbers and hashes: no payload
    PRIMARY KEY (generation, document, version, row_id)
);
