-- Composed keys whose rows outside a batch has begun to write, and which it takes out again in the transaction that moves
-- the position. Where that transaction is lost, the next batch composes them once more: what led to them may be gone by
-- then, and their rows would stay.
CREATE TABLE projection.outside_key (
    generation bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    key        text NOT NULL,
    PRIMARY KEY (generation, key)
);
ALTER TABLE projection.outside_key ALTER key SET STATISTICS 0;
