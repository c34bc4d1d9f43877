"""Hints: which types the fields of a table probably had. A wrong hint costs time; it never decides.

A hints file has a line for each field, `#` begins a comment:

    Licence.issued: timestamp
    Licence.events[].fee: money::decimal, decimal     # several, best first
    Licence."a.name.with.dots": symbol

A file with `CREATE TABLE` statements, such as the migration kit's, is read as well: a column hints at the fields of
its name, upper or lower case, with or without underscores, at any depth.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from strandline.journal.errors import UsageError
from strandline.journal.restore.nodes import MEMBER, Path
from strandline.journal.restore.recipes import is_recipe

_PART = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s."\[\]:#,]++))((?:\[\])*+)\s*')
_CREATE = re.compile(r"create\s+table\s+(?:if\s+not\s+exists\s+)?([\w.\"]+)\s*\(", re.IGNORECASE)
_COLUMN = re.compile(r'\s*"?(\w+)"?\s+(\w+)')
_OF_SQL = {
    "date": ("timestamp(day)", "timestamp"),
    "timestamp": ("timestamp",),
    "timestamptz": ("timestamp",),
    "decimal": ("decimal",),
    "numeric": ("decimal",),
    "money": ("decimal(2)", "decimal"),
    "integer": ("int",),
    "int": ("int",),
    "bigint": ("int",),
    "smallint": ("int",),
    "double": ("float",),
    "real": ("float",),
    "float": ("float",),
    "bytea": ("blob",),
    "varchar": ("string",),
    "text": ("string",),
    "character": ("string",),
}


@dataclass
class TableHints:
    """Hints for one table: by exact path, and by the last name of a path."""

    paths: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, path: Path) -> tuple[str, ...]:
        """Return the recipes to try for a path, best first."""
        exact = self.paths.get(path)
        if exact is not None or not self.names:
            return exact or ()
        name = next((name for name in reversed(path) if name != MEMBER), "")
        return self.names.get(_plain(name), ())


@dataclass
class Hints:
    """Hints for a ledger's tables."""

    tables: dict[str, TableHints] = field(default_factory=dict)
    columns: dict[str, TableHints] = field(default_factory=dict)

    def table(self, name: str) -> TableHints:
        exact, loose = self.tables.get(name), self.columns.get(_plain(name))
        if exact is None or loose is None:
            return exact or loose or TableHints()
        return TableHints(exact.paths, loose.names)


def read_hints(text: str, source: str) -> Hints:
    """Read a hints file or DDL. Raises UsageError with the line that is neither; `source` names the file."""
    if _CREATE.search(text):
        return Hints(columns=dict(_tables_of(text)))
    hints = Hints()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parsed = _line(line)
        if parsed is None:
            raise UsageError(f"{source}, line {number}: not a hint such as `Licence.events[].at: timestamp`")
        table, path, recipes = parsed
        for recipe in recipes:
            if not is_recipe(recipe):
                raise UsageError(f"{source}, line {number}: unknown type; see docs/restoring.md for those there are")
        hints.tables.setdefault(table, TableHints()).paths[path] = recipes
    return hints


def _line(line: str) -> tuple[str, Path, tuple[str, ...]] | None:
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(line, at)
        if match is None:
            return None
        parts.append(json.loads(f'"{match[1]}"') if match[1] is not None else match[2])
        parts += [MEMBER] * (len(match[3]) // len(MEMBER))
        at = match.end()
        if line[at : at + 1] != ".":
            break
        at += 1
    if line[at : at + 1] != ":" or len(parts) < 2:
        return None
    recipes = tuple(one.strip() for one in line[at + 1 :].partition("#")[0].split(","))
    return parts[0], tuple(parts[1:]), recipes


def _tables_of(ddl: str) -> Iterator[tuple[str, TableHints]]:
    for match in _CREATE.finditer(ddl):
        name = match[1].replace('"', "").rpartition(".")[2]
        hints = TableHints()
        for column in _columns(ddl[match.end() :]):
            parsed = _COLUMN.match(column)
            recipes = _OF_SQL.get(parsed[2].lower()) if parsed else None
            if parsed and recipes:
                hints.names[_plain(parsed[1])] = recipes
        yield _plain(name), hints


def _columns(text: str) -> Iterator[str]:
    """Yield the parts between commas up to the parenthesis that closes the table."""
    depth, start = 0, 0
    for at, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            if not depth:
                yield text[start:at]
                return
            depth -= 1
        elif character == "," and not depth:
            yield text[start:at]
            start = at + 1


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
