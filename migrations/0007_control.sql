-- Schema control: what QLDB's control API keeps besides the journal. No table here holds payload. A server's own database has
-- the catalogue of the ledgers and their tags; each ledger's database has its exports and streams.
CREATE SCHEMA IF NOT EXISTS control;

CREATE TABLE control.ledger (
    name                text PRIMARY KEY,
    database            text UNIQUE,  -- on the same server; NULL: this one
    state               text NOT NULL CHECK (state IN ('CREATING', 'ACTIVE', 'DELETING')),
    created_at          timestamptz NOT NULL DEFAULT now(),
    permissions_mode    text NOT NULL CHECK (permissions_mode IN ('ALLOW_ALL', 'STANDARD')),
    deletion_protection boolean NOT NULL
);
CREATE UNIQUE INDEX ledger_of_this_database ON control.ledger ((true)) WHERE database IS NULL;

-- `resource` is the end of an ARN: ledger/NAME, ledger/NAME/table/ID or stream/NAME/ID.
CREATE TABLE control.tag (
    resource text NOT NULL,
    key      text NOT NULL,
    value    text NOT NULL,
    PRIMARY KEY (resource, key)
);

-- Of a database that CreateLedger made: the ledger's name, which begins the names of its indexes in OpenSearch.
CREATE TABLE control.made_as (
    name text NOT NULL
);
CREATE UNIQUE INDEX made_once ON control.made_as ((true));

-- Exports of a period to S3. `last_no` is the last block of which the object in `keys` is written.
CREATE TABLE control.export (
    id          text PRIMARY KEY,
    ledger      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    bucket      text NOT NULL,
    prefix      text NOT NULL,
    encryption  text NOT NULL CHECK (encryption IN ('SSE_KMS', 'SSE_S3', 'NO_ENCRYPTION')),
    kms_key_arn text,
    role_arn    text NOT NULL,
    format      text NOT NULL,
    last_no     bigint,
    keys        text[] NOT NULL DEFAULT '{}',
    status      text NOT NULL DEFAULT 'IN_PROGRESS' CHECK (status IN ('IN_PROGRESS', 'COMPLETED', 'CANCELLED')),
    ended_at    timestamptz
);

-- Streams to Kinesis; journal.outbound_stream has the position of each, by its id.
CREATE TABLE control.stream (
    id          text PRIMARY KEY,
    ledger      text NOT NULL,
    name        text NOT NULL,
    arn         text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz,
    role_arn    text NOT NULL,
    kinesis_arn text NOT NULL,
    aggregated  boolean NOT NULL,
    status      text NOT NULL DEFAULT 'ACTIVE'
                CHECK (status IN ('ACTIVE', 'IMPAIRED', 'COMPLETED', 'CANCELED', 'FAILED')),
    error_cause text,
    ended_at    timestamptz
);
CREATE UNIQUE INDEX stream_name ON control.stream (name) WHERE ended_at IS NULL;

GRANT USAGE ON SCHEMA control TO strandline_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA control TO strandline_operator;
