"""Pattern 1: revisions past the retention rules that STRANDLINE_RETENTION declares, as a JSON array:

    [{"table": "Licence", "field": "status", "equals": "Revoked", "days": 365}, {"table": "Contact", "days": 730}]

A rule covers the revisions of the active table of that name whose field equals the value (without a field: all), and
that a later revision or a deletion replaced at least so many days ago. Current revisions are never due.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from strandline.consumer.database.connection import connect
from strandline.journal.errors import UsageError
from strandline.journal.ion.json import to_json

MEMBERS = {"table", "field", "equals", "days"}

DUE = """
    SELECT p.document_id, p.version
    FROM (
        SELECT r.document_id, r.version, r.sequence_no, r.state, r.data,
               lead(r.tx_time) OVER (PARTITION BY r.document_id ORDER BY r.version) AS replaced_at
        FROM journal.revision r
        JOIN journal.user_table u ON u.table_id = r.table_id AND u.status = 'ACTIVE'
        WHERE u.name = %(table)s AND r.sequence_no <= (SELECT sequence_no FROM journal.mark)
    ) AS p
    WHERE p.state = 'normal' AND p.replaced_at <= now() - make_interval(days => %(days)s)
      AND (%(field)s::text IS NULL OR p.data -> %(field)s::text = %(value)s)
    ORDER BY p.sequence_no, p.document_id"""


@dataclass(frozen=True, slots=True)
class Rule:
    """The retention of old revisions of a table, or of those whose `field` equals `value`."""

    table: str
    days: int
    field: str | None = None
    value: Any = None


def parse_rules(text: str | None) -> list[Rule]:
    """Return the rules of the setting. Raises UsageError if it is empty or malformed."""
    if not text:
        raise UsageError(
            'STRANDLINE_RETENTION is not set: it holds the retention rules, such as [{"table": "Licence", "days": 365}]'
        )
    try:
        rules = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise UsageError("STRANDLINE_RETENTION is not JSON") from None
    if not isinstance(rules, list):
        raise UsageError("STRANDLINE_RETENTION is not an array of rules")
    return [_rule(number, rule) for number, rule in enumerate(rules, 1)]


def due(url: str, rules: list[Rule]) -> Iterator[tuple[str, int]]:
    """Yield the revisions that are past a rule, as document and version, each once."""
    seen: set[tuple[str, int]] = set()
    for rule in rules:
        with connect(url) as connection:
            value = Jsonb(rule.value, dumps=to_json)
            named = {"table": rule.table, "days": rule.days, "field": rule.field, "value": value}
            found = connection.execute(DUE, named).fetchall()
        for document_id, version in found:
            if (document_id, version) not in seen:
                seen.add((document_id, version))
                yield document_id, version


def _rule(number: int, given: Any) -> Rule:
    if not isinstance(given, dict) or given.keys() - MEMBERS:
        raise UsageError(f"STRANDLINE_RETENTION, rule {number}: is no object of table, days, field and equals")
    table, days, field = given.get("table"), given.get("days"), given.get("field")
    if not isinstance(table, str) or not isinstance(days, int) or isinstance(days, bool) or not 0 <= days < 100_000:
        raise UsageError(f"STRANDLINE_RETENTION, rule {number}: needs a table and a whole number of days")
    if (field is None) != ("equals" not in given) or not isinstance(field, str | None):
        raise UsageError(f"STRANDLINE_RETENTION, rule {number}: field and equals go together")
    return Rule(table, days, field, given.get("equals"))
