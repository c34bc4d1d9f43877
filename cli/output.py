"""Output of the commands: one JSON object or text on stdout, everything else on stderr.

Text on a terminal fits its width; into a pipe, a table has a line a row and tabs between the columns. Names come from
manifests and journals, so control characters are escaped in everything that is printed.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import typer

# A terminal would obey these: payload must not move its cursor, change its title or reorder its text.
_BEYOND_ASCII = "\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_IN_CELLS = re.compile(f"[\x00-\x1f{_BEYOND_ASCII}]")
_IN_TEXT = re.compile(f"[\x00-\x09\x0b-\x1f{_BEYOND_ASCII}]")
_IN_JSON = re.compile(f"[{_BEYOND_ASCII}]")


def show_json(value: Mapping[str, object]) -> None:
    """Print the command's one JSON object."""
    sys.stdout.write(json_escaped(json.dumps(value, ensure_ascii=False, indent=2)) + "\n")


def say(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(_IN_TEXT.sub(_escape, text) + "\n")


def note(text: str) -> None:
    """Print something other than the result, such as a warning, on stderr."""
    sys.stderr.write(_IN_TEXT.sub(_escape, text) + "\n")
    sys.stderr.flush()


def complain(text: str, status: int, *, as_json: bool = False) -> int:
    """Print an error, with `as_json` also as an object on stdout. Returns its exit status, for the caller to return."""
    if as_json:
        show_json({"error": {"message": text, "status": status}})
    if sys.stderr.isatty():
        sys.stderr.write(typer.style("error: ", fg="red"))
    else:
        text = f"error: {text}"
    note(text)
    return status


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, or on a terminal that is too narrow for its words a block of lines for each row."""
    rows = list(rows)
    if not sys.stdout.isatty():
        for line in ([*columns], *([_text(value) for value in row] for row in rows)):
            sys.stdout.write("\t".join(map(plain, line)) + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(plain(column)))
    for row in rows:
        # As Text: a value such as "[red]" is no markup.
        table.add_row(*(Text(cell(value), justify="right" if _is_number(value) else "left") for value in row))
    # Measured with room to spare: a measurement never exceeds the width that it is given.
    if Measurement.get(console, console.options.update(max_width=10_000), table).minimum <= console.width:
        console.print(table)
        return
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            console.print(Text(f"{plain(column)}: {cell(value)}"), overflow="fold")
        console.print()


def clear_screen() -> None:
    """Clear the terminal; no-op in a pipe."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")


def cell(value: object) -> str:
    """Format a value for a table on a terminal."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plain(_text(value))


def plain(text: str) -> str:
    """Escape every control character, line breaks included, as Python writes it."""
    return _IN_CELLS.sub(_escape, text)


def json_escaped(text: str) -> str:
    """Escape the control characters that JSON allows in a string."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
