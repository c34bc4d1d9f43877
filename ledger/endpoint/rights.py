"""The rights of a client's key: actions of QLDB's, by ledger and table, as the keys' file states them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from strandline.ledger.execution import access

ACCOUNT = "000000000000"
SEND = "SendCommand"
# The operations of QLDB's control API (AWS's model `qldb/2019-01-02`).
OPERATIONS = frozenset((
    "CancelJournalKinesisStream", "CreateLedger", "DeleteLedger", "DescribeJournalKinesisStream",
    "DescribeJournalS3Export", "DescribeLedger", "ExportJournalToS3", "GetBlock", "GetDigest", "GetRevision",
    "ListJournalKinesisStreamsForLedger", "ListJournalS3Exports", "ListJournalS3ExportsForLedger", "ListLedgers",
    "ListTagsForResource", "StreamJournalToKinesis", "TagResource", "UntagResource", "UpdateLedger",
    "UpdateLedgerPermissionsMode",
))  # fmt: skip
_RULE = re.compile(r"(?P<actions>[\w:*, ]+?)\s+on\s+(?P<ledger>[\w*-]+)(?:/(?P<table>[\w.*]+))?")


@dataclass(frozen=True, slots=True)
class Rule:
    """Actions that are allowed on ledgers and tables, each by a name or a pattern with `*`.

    `table` is None for operations, and for statements on every table.
    """

    actions: tuple[str, ...]
    ledger: str
    table: str | None

    def allows_operation(self, action: str, ledger: str | None) -> bool:
        """`ledger` is None for an operation on none in particular."""
        of_ledger = ledger is None or fnmatchcase(ledger, self.ledger)
        return self.table is None and of_ledger and self._has(action)

    def allows_statement(self, action: str, table: str) -> bool:
        return (self.table is None or fnmatchcase(table, self.table)) and self._has(action)

    def _has(self, action: str) -> bool:
        return any(fnmatchcase(action, one) for one in self.actions)


@dataclass(frozen=True, slots=True)
class Caller:
    """A client: its key's id and name, and its rules; without rules it may do everything."""

    key_id: str = ""
    name: str = "anyone"
    rules: tuple[Rule, ...] | None = None

    def may(self, action: str, ledger: str | None) -> bool:
        """Return whether an operation is allowed on a ledger, or on no ledger in particular."""
        return self.rules is None or any(one.allows_operation(action, ledger) for one in self.rules)

    def statements(self, ledger: str, mode: Callable[[], str]) -> access.May | None:
        """Return the check of statements on a ledger; None if all are allowed.

        In the mode ALLOW_ALL, statements are allowed by SendCommand. A key that has rules for statements on the ledger
        is held to them there too: a rule that is written down must not be without effect.
        """
        if self.rules is None:
            return None
        rules = [rule for rule in self.rules if fnmatchcase(ledger, rule.ledger)]
        written = any(fnmatchcase(one, action) for rule in rules for action in rule.actions for one in access.ACTIONS)
        if not written and mode() == "ALLOW_ALL":
            return None
        return lambda action, table: any(rule.allows_statement(action, table) for rule in rules)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


ANYONE = Caller()


def read_rules(lines: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of lines such as `PartiQLSelect, PartiQLInsert on people/Person`. Raises ValueError."""
    return tuple(_rule(line.strip()) for line in lines if line.strip())


def _rule(line: str) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise ValueError(f"{line!r} is not ACTION, … on LEDGER or ACTION, … on LEDGER/TABLE")
    actions = tuple(one.strip().removeprefix("qldb:") for one in found["actions"].split(","))
    known = access.ACTIONS if found["table"] else access.ACTIONS | OPERATIONS | {SEND}
    for action in actions:
        if not any(fnmatchcase(one, action) for one in known):
            what = "of statements on tables" if found["table"] else "of QLDB's"
            raise ValueError(f"{action!r} is no action {what}")
    return Rule(actions, found["ledger"], found["table"])
