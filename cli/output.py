"""What a command says: one JSON object or text for people on stdout, everything else on stderr."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from strandline.consumer.erasure.probe import Residue

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else there.")]

# What a terminal would obey rather than show: payload must not move its cursor or change its title.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDTH_OF_FILES = 160
_RESIDUE_SHOWN = 20


def show_json(value: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Something beside the result, such as a warning."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain(text: str, status: int) -> int:
    """An error's text; gives its exit status back."""
    note(f"{typer.style('error:', fg='red') if sys.stderr.isatty() else 'error:'} {text}")
    return status


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table for people; long cells go on in the next line, so nothing is cut."""
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
    """The text without control characters: each as Python writes it."""
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)


def span(first: int, last: int) -> str:
    return f"block {first:,}" if first == last else f"blocks {first:,} to {last:,}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def note_residue(residue: "Sequence[Residue]") -> None:
    """Print the residue of redacted revisions, by place."""
    for one in residue[:_RESIDUE_SHOWN]:
        note(f"Still in {one.where}: version {one.version} of document {one.document_id}.")
    if len(residue) > _RESIDUE_SHOWN:
        note(f"… and {len(residue) - _RESIDUE_SHOWN} more.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
