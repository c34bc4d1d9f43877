-- What is known of the Kinesis streams that feed the store: whether QLDB said that one is complete, and when it was last
-- heard of. A stream that is not complete and has been silent for long may have lost its worker.
CREATE TABLE journal.stream (
    name         text PRIMARY KEY,
    created_at   timestamptz,  -- when QLDB's CREATED record was taken in
    completed_at timestamptz,  -- when QLDB's COMPLETED record was taken in: nothing more comes
    heard_at     timestamptz NOT NULL
);
