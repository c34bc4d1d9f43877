-- The workers that fill the store, by their ids: each says now and then that it lives, and in the end that it has ended.
CREATE TABLE projection.worker (
    id         text PRIMARY KEY,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    ended_at   timestamptz  -- when it ended in order; NULL while it runs, and where it was killed
);
