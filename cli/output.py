"""Output of the commands: one JSON object or text on stdout, everything else on stderr."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import typer

# A terminal would obey these: payload must not move its cursor or change its title.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDTH_OF_FILES = 160


def show_json(value: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print something other than the result, such as a warning, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain(text: str, status: int) -> int:
    """Print an error. Returns its exit status, for the caller to return."""
    note(f"{typer.style('error:', fg='red') if sys.stderr.isatty() else 'error:'} {text}")
    return status


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table. Long cells are wrapped, never cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(plain(column)), overflow="fold")
    for row in rows:
        # As Text: a value such as "[red]" is no markup.
        table.add_row(*(Text(cell(value), justify="right" if _is_number(value) else "left") for value in row))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, highlight=False).print(table)


def cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return plain(str(value))


def plain(text: str) -> str:
    """Escape control characters as Python writes them."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
