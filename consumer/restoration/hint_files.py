"""Opens the hints that a user names: a hints file, DDL, or an Ion copy of some blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strandline.consumer.intake.sources import open_sources
from strandline.journal.errors import UsageError
from strandline.journal.restore.hints import Hints, read_hints
from strandline.journal.sources.place import File
from strandline.journal.sources.source import all_items

_MOST_BYTES = 1_000_000
_TEXT_SUFFIXES = (".hints", ".txt", ".sql", ".ddl")


@dataclass(frozen=True)
class HintSources:
    """The hints, and the files of Ion blocks to learn from."""

    hints: Hints
    copies: Sequence[File] = ()


def open_hints(addresses: Sequence[str]) -> HintSources:
    """Open hints. Raises UsageError if one does not exist or is not readable as hints."""
    hints = Hints()
    copies: list[File] = []
    for address in addresses:
        path = Path(address)
        if path.is_file() and path.suffix in _TEXT_SUFFIXES:
            found = read_hints(_text(path), address)
            hints.tables.update(found.tables)
            hints.columns.update(found.columns)
        else:
            copies += [file for item in all_items(open_sources([address])) for file in item.files]
    return HintSources(hints, copies)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            raise UsageError(f"{path}: larger than {_MOST_BYTES:,} bytes, so not a file of hints")
        return data.decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text; a hints file is UTF-8") from None
