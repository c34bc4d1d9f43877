"""The operations on tags, of ledgers, their tables and streams."""

import re
from collections.abc import Mapping

import msgspec

from strandline.consumer.database.connection import Connection, connect
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.control.call import Answer, Call
from strandline.ledger.publish.journal_stream import read_stream

MOST_TAGS = 50
_ARN = re.compile(
    r"arn:aws[a-z-]*:qldb:[a-z0-9-]*:\d*:(?P<resource>(?:ledger/(?P<name>[\w-]+)(?:/table/(?P<table>\w{22}))?)"
    r"|stream/(?P<of>[\w-]+)/(?P<stream>\w{22}))"
)
READ = "SELECT key, value FROM control.tag WHERE resource = %s ORDER BY key"
COUNT = "SELECT count(*) FROM control.tag WHERE resource = %s"
PUT = """
    INSERT INTO control.tag (resource, key, value) VALUES (%s, %s, %s)
    ON CONFLICT (resource, key) DO UPDATE SET value = excluded.value"""
REMOVE = "DELETE FROM control.tag WHERE resource = %s AND key = ANY (%s)"
TABLE = "SELECT FROM journal.user_table WHERE table_id = %s"


class _Tags(msgspec.Struct):
    Tags: dict[str, str | None]


def ledger_of(names: Mapping[str, str]) -> str | None:
    """Return the name of the ledger in a resource's ARN, None for an ARN that is none of QLDB's."""
    found = _ARN.fullmatch(names["arn"])
    return None if found is None else found["name"] or found["of"]


def list_tags(call: Call) -> Answer:
    resource = _resource(call)
    with call.catalogue() as connection, connection.transaction():
        return {"Tags": dict(connection.execute(READ, [resource]).fetchall())}


def tag(call: Call) -> Answer:
    given, resource = checked(call.body(_Tags).Tags), _resource(call)
    with call.catalogue() as connection, connection.transaction():
        put(connection, resource, given)
    return {}


def untag(call: Call) -> Answer:
    resource = _resource(call)
    with call.catalogue() as connection, connection.transaction():
        connection.execute(REMOVE, [resource, list(call.query.get("tagKeys", ()))])
    return {}


def checked(tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags that QLDB would take. Raises Refusal."""
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:") or len(value or "") > 256:
            raise refusals.invalid_parameter(
                "A tag has a key of 1 to 128 characters and a value of at most 256", "Tags"
            )
    return {key: value or "" for key, value in tags.items()}


def put(connection: Connection, resource: str, tags: Mapping[str, str]) -> None:
    """Set tags, within a transaction. Raises Refusal if the resource would have too many."""
    for key, value in tags.items():
        connection.execute(PUT, [resource, key, value])
    row = connection.execute(COUNT, [resource]).fetchone()
    if row is not None and row[0] > MOST_TAGS:
        raise refusals.invalid_parameter(f"A resource has at most {MOST_TAGS} tags", "Tags")


def _resource(call: Call) -> str:
    """Return the end of the ARN, of a resource that is there. Raises Refusal."""
    found = _ARN.fullmatch(call.names["arn"])
    if found is None:
        raise refusals.invalid_parameter("This is no ARN of a ledger, a table or a stream", "ResourceArn")
    ledger = call.ledgers.catalogued(found["name"] or found["of"])
    if found["name"] and not found["table"]:
        return found["resource"]
    with connect(call.ledgers.url(ledger.name)) as connection:
        if found["stream"] and read_stream(connection, found["stream"]) is None:
            raise refusals.not_found("Stream", found["stream"])
        if found["table"] and connection.execute(TABLE, [found["table"]]).fetchone() is None:
            raise refusals.not_found("Table", found["table"])
    return found["resource"]
