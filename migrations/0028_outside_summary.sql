-- What an index held in a state that OpenSearch tells it by: where it is in that state still, it need not be read. Whoever
-- writes to the index takes it out first, so that no hash of what is erased is left.
CREATE TABLE projection.outside_summary (
    generation bigint PRIMARY KEY REFERENCES projection.generation ON DELETE CASCADE,
    state      text NOT NULL,
    rows       bigint NOT NULL,
    digest     numeric NOT NULL
);
