"""AWS's migration kit on a journal, written again for a sample table: the Glue job and the Lambda function.

The kit's logic, and its faults, are described in docs/qldb-formats.md, "AWS's migration kit".
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier

DDL = """
    CREATE SCHEMA kit;
    CREATE TABLE kit.licence (
        doc_id varchar(25), version integer, licence_id varchar(50), first_name varchar(100), date_of_birth date,
        fee decimal, owner varchar(50), tags varchar(200), ql_audit jsonb);
    CREATE TABLE kit.licence_audit_log (
        LIKE kit.licence, operation character(1), transaction_id character varying, old_row_data jsonb)
"""
COLUMNS = ("doc_id", "version", "licence_id", "first_name", "date_of_birth", "fee", "owner", "tags", "ql_audit")


def revisions_of(blocks: Iterable[dict[str, Any]], table: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each revision of a table with its entry in transactionInfo."""
    for block in blocks:
        documents = block.get("transactionInfo", {}).get("documents", {})
        for revision in block.get("revisions", ()):
            document = documents.get(revision.get("metadata", {}).get("id"))
            if document is not None and document["tableName"] == table:
                yield revision, document


def row_of(revision: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Flatten a revision into a row, with the kit's ql_audit."""
    metadata, address = revision["metadata"], revision["blockAddress"]
    data = revision.get("data") or {}
    audit = {
        "ql_id": metadata["id"],
        "ql_v": metadata["version"],
        "ql_txid": metadata["txId"],
        "ql_txtime": metadata["txTime"].strftime("%Y-%m-%d %H:%M:%S.%f"),
        "ql_blockseq": address["sequenceNo"],
        "ql_strand": address["strandId"],
        "ql_rev_hash": b64encode(revision["hash"]).decode(),
        "ql_tableid": document["tableId"],
        "ql_tablename": document["tableName"],
        "ql_deletion": "data" not in revision and "dataHash" not in revision,
        "ql_redacted": "dataHash" in revision,
        "ql_data_hash": b64encode(revision["dataHash"]).decode() if "dataHash" in revision else "",
    }
    born = data.get("dateOfBirth")
    tags = data.get("tags")
    return {
        "doc_id": metadata["id"],
        "version": metadata["version"],
        "licence_id": data.get("licenceId"),
        "first_name": data.get("firstName"),
        "date_of_birth": None if born is None else born.strftime("%Y-%m-%d"),
        "fee": None if data.get("fee") is None else str(data["fee"]),
        "owner": data.get("owner", {}).get("personId"),
        "tags": ",".join(tags) if tags else None,
        "ql_audit": json.dumps(audit),
    }


def operation_of(revision: dict[str, Any]) -> str:
    if "data" not in revision and "dataHash" not in revision:
        return "D"
    return "I" if revision["metadata"]["version"] == 0 else "U"


def full_load(connection: Connection[Any], blocks: Iterable[dict[str, Any]]) -> None:
    """Load an export: all revisions into the audit log, each document's latest, if not deleted, into the table."""
    connection.execute(DDL)
    latest: dict[str, tuple[dict[str, Any], str]] = {}
    for revision, document in revisions_of(blocks, "Licence"):
        row, operation = row_of(revision, document), operation_of(revision)
        insert(connection, "licence_audit_log", with_operation(row, operation, revision))
        latest[row["doc_id"]] = row, operation
    for row, operation in latest.values():
        if operation != "D":
            insert(connection, "licence", row)


def stream(connection: Connection[Any], blocks: Iterable[dict[str, Any]]) -> None:
    """Apply revisions as they arrive, in whatever order."""
    for revision, document in revisions_of(blocks, "Licence"):
        row, operation = row_of(revision, document), operation_of(revision)
        found = connection.execute("SELECT version FROM kit.licence WHERE doc_id = %s", [row["doc_id"]]).fetchone()
        if operation == "D":
            connection.execute("DELETE FROM kit.licence WHERE doc_id = %s", [row["doc_id"]])
        elif found is None:
            insert(connection, "licence", row)
        elif operation == "U" and row["version"] > found[0]:
            connection.execute("DELETE FROM kit.licence WHERE doc_id = %s", [row["doc_id"]])
            insert(connection, "licence", row)
        insert(connection, "licence_audit_log", with_operation(row, operation, revision))


def with_operation(row: dict[str, Any], operation: str, revision: dict[str, Any]) -> dict[str, Any]:
    return {**row, "operation": operation, "transaction_id": revision["metadata"]["txId"]}


def insert(connection: Connection[Any], table: str, row: dict[str, Any]) -> None:
    names = SQL(", ").join(map(Identifier, row))
    values = SQL(", ").join([SQL("%s")] * len(row))
    connection.execute(
        SQL("INSERT INTO {} ({}) VALUES ({})").format(Identifier("kit", table), names, values), list(row.values())
    )
