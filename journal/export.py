"""Finding the objects of a journal export in a folder, in the order of its manifest or of the numbers in their names.

Names and manifests as QLDB's developer guide has them ("Journal export output"); users keep copies in plain folders
too, so a manifest's keys, which start at the bucket's root, are looked for under every shorter path as well.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from journal import ion
from journal.block import Fault
from journal.errors import StrandlineError, UnreadableError, UsageError
from journal.rows import Link

_OBJECT_NAME = re.compile(r"([0-9A-Za-z]+)\.(\d+)-(\d+)\.(?:ion|json|10n)(?:\.gz)?$")
_COMPLETED = ".completed.manifest"


@dataclass(frozen=True, slots=True)
class ExportObject:
    """One data object; `path` is None where a manifest names it and it is not there. Numbers are those in its name."""

    name: str
    path: Path | None
    first_no: int | None = None
    last_no: int | None = None

    def read(self) -> bytes:
        """The object's bytes, as they are."""
        if self.path is None:
            raise StrandlineError(f"{self.name}: named by the manifest, but not there")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise StrandlineError(f"{self.path}: cannot be read ({error.strerror})") from None


@dataclass(frozen=True, slots=True)
class Export:
    """The objects of one export in order; `manifest` is None where there was none and names gave the order."""

    source: str
    manifest: Path | None
    objects: Sequence[ExportObject]

    @property
    def first_no(self) -> int:
        return min((o.first_no for o in self.objects if o.first_no is not None), default=0)


def find_exports(source: str) -> list[Export]:
    """The exports that a folder, a manifest or a data object holds, by their first blocks.

    Raises UsageError where the source does not exist, StrandlineError where it holds no export, UnreadableError where
    a manifest is none.
    """
    path = Path(source)
    if not path.exists():
        raise UsageError(f"{source}: no such file or folder")
    if path.is_dir():
        exports = [_from_manifest(manifest) for manifest in sorted(path.rglob(f"*{_COMPLETED}"))]
        if not exports:
            exports = [_from_names(path)]
    elif path.name.endswith(".manifest"):
        exports = [_from_manifest(path)]
    else:
        exports = [Export(source, None, [_object(path.name, path)])]
    if not any(export.objects for export in exports):
        raise StrandlineError(
            f"{source}: holds no export objects (<strand>.<first>-<last>.ion or .json); "
            "name the folder that a completed export was copied to"
        )
    return sorted(exports, key=lambda export: export.first_no)


def all_objects(exports: Sequence[Export]) -> Iterator[ExportObject]:
    """Each object of the exports once, in order, however many of them name it."""
    seen: set[Path] = set()
    for export in exports:
        for item in export.objects:
            if item.path is None:
                yield item
            elif (path := item.path.resolve()) not in seen:
                seen.add(path)
                yield item


def check_numbers(item: ExportObject, links: Sequence[Link]) -> Iterator[Fault]:
    """What does not hold between an object's name and the numbers of its blocks, which rise by one."""
    for before, link in pairwise(links):
        if link.sequence_no != before.sequence_no + 1:
            detail = f"{item.name}: block {link.sequence_no} follows block {before.sequence_no}"
            yield Fault(link.sequence_no, "order", detail)
    if item.first_no is None or not links:
        return
    first_no, last_no = links[0].sequence_no, links[-1].sequence_no
    if (first_no, last_no) != (item.first_no, item.last_no):
        yield Fault(None, "object", f"{item.name}: holds blocks {first_no} to {last_no}; its name says otherwise")


def _from_names(folder: Path) -> Export:
    found = [_object(str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file()]
    numbered = [item for item in found if item.first_no is not None]
    return Export(str(folder), None, sorted(numbered, key=lambda item: (item.first_no, item.last_no, item.name)))


def _from_manifest(manifest: Path) -> Export:
    try:
        keys = ion.read_one(manifest.read_bytes())["keys"]  # Ion text, of which JSON is a part
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise TypeError
    except OSError as error:
        raise StrandlineError(f"{manifest}: cannot be read ({error.strerror})") from None
    except (UnreadableError, KeyError, TypeError):
        raise UnreadableError(
            f'{manifest}: is no completed manifest of an export, which is {{keys: ["<object>", …]}}; '
            "name the folder of the objects to go by their names"
        ) from None
    return Export(str(manifest), manifest, [_object(key, _locate(manifest.parent, key)) for key in keys])


def _locate(folder: Path, key: str) -> Path | None:
    parts = [part for part in PurePosixPath(key).parts if part not in ("/", "..")]
    candidates = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((path for path in candidates if path.is_file()), None)


def _object(name: str, path: Path | None) -> ExportObject:
    match = _OBJECT_NAME.search(name)
    if match is None:
        return ExportObject(name, path)
    return ExportObject(name, path, int(match[2]), int(match[3]))
