"""The PartiQL statements by which a transaction's steps are recorded, with a question mark for every value."""

import re
from collections.abc import Iterable

from strandline.ledger.partiql.reserved import RESERVED

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def name(text: str) -> str:
    """Return an identifier, in double quotes if it needs them."""
    if _PLAIN.fullmatch(text) and text.upper() not in RESERVED:
        return text
    return '"' + text.replace('"', '""') + '"'


def create_table(table: str) -> str:
    return f"CREATE TABLE {name(table)}"


def create_index(table: str, field: str) -> str:
    return f"CREATE INDEX ON {name(table)} ({name(field)})"


def drop_table(table: str) -> str:
    return f"DROP TABLE {name(table)}"


def undrop_table(table_id: str) -> str:
    return f'UNDROP TABLE "{table_id}"'


def drop_index(index_id: str, table: str) -> str:
    return f'DROP INDEX "{index_id}" ON {name(table)} WITH (purge = true)'


def insert(table: str) -> str:
    return f"INSERT INTO {name(table)} ?"


def update(table: str, fields: Iterable[str]) -> str:
    changes = ", ".join(f"d.{name(field)} = ?" for field in fields)
    return f"UPDATE {name(table)} AS d BY id SET {changes} WHERE id = ?"


def remove(table: str, field: str) -> str:
    return f"FROM {name(table)} AS d BY id WHERE id = ? REMOVE d.{name(field)}"


def delete(table: str) -> str:
    return f"DELETE FROM {name(table)} AS d BY id WHERE id = ?"


def find_by_id(table: str) -> str:
    return f"SELECT d.* FROM {name(table)} AS d BY id WHERE id = ?"


def find_by_value(table: str, field: str) -> str:
    return f"SELECT id, d.* FROM {name(table)} AS d BY id WHERE d.{name(field)} = ?"


def history(table: str, *, period: int, document: bool) -> str:
    """Return a query of the history. `period` counts the given times: 0 none, 1 from, 2 from and to."""
    arguments = "".join([", ?"] * period)
    where = " WHERE h.metadata.id = ?" if document else ""
    return f"SELECT * FROM history({name(table)}{arguments}) AS h{where}"


REDACT = "EXEC redact_revision ?, ?, ?"
USER_TABLES = "SELECT * FROM information_schema.user_tables"
