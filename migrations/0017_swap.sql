-- A read model outside the database that another generation is about to serve: here, committed, before its alias is moved,
-- and until it is known here that it was. What a killed process left is gone on with by the next that comes to the projection.
CREATE TABLE projection.swap (
    projection text PRIMARY KEY,
    generation bigint NOT NULL REFERENCES projection.generation ON DELETE CASCADE,
    begun_at   timestamptz NOT NULL DEFAULT now()
);
