"""Lists the objects of a journal export, in the order of its manifest or of the numbers in their names.

Names and manifests are those of QLDB's developer guide ("Journal export output"). Users also copy exports elsewhere, so
a manifest's keys, which start at the bucket's root, are looked up under every shorter path too.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from strandline.journal.check.block import Fault
from strandline.journal.decode.objects import Link
from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.sources.place import File, Place, address_of

COMPLETED = ".completed.manifest"
# A name's parts are bounded, so that a search takes linear time.
_OBJECT_NAME = re.compile(r"([0-9A-Za-z]{1,64})\.(\d{1,19})-(\d{1,19})\.(?:ion|json|10n)(?:\.gz)?$")
_LONGEST_KEY = 1_024  # bytes; S3's limit


@dataclass(frozen=True, slots=True)
class ExportObject:
    """One data object; `file` is None if a manifest names it and it is missing. The numbers are those in its name."""

    name: str
    file: File | None
    first_no: int | None = None
    last_no: int | None = None

    @property
    def files(self) -> Sequence[File]:
        return () if self.file is None else (self.file,)


def export_object(name: str, file: File | None) -> ExportObject:
    """Return an object with the numbers in its name, if any."""
    match = _OBJECT_NAME.search(name)
    if match is None:
        return ExportObject(name, file)
    return ExportObject(name, file, int(match[2]), int(match[3]))


def named_objects(files: Sequence[File]) -> list[ExportObject]:
    """Return the files with an object's name, in the order of their numbers."""
    numbered = [item for item in (export_object(file.name, file) for file in files) if item.first_no is not None]
    return sorted(numbered, key=lambda item: (item.first_no, item.last_no, item.name))


def objects_of(manifest: File, place: Place) -> list[ExportObject]:
    """Return the objects that a manifest names, in its order. Raises UnreadableError if it is not a manifest."""
    try:
        keys = ion.read_one(manifest.read())["keys"]  # Ion text; JSON is a subset
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise TypeError
        if any(len(key.encode()) > _LONGEST_KEY for key in keys):
            raise TypeError
    except (UnreadableError, KeyError, TypeError):
        raise UnreadableError(
            f"{address_of(place, manifest)}: not a completed manifest of an export "
            '({keys: ["<object>", …]}): name the folder of the objects instead'
        ) from None
    folder = PurePosixPath(manifest.name).parent
    return [export_object(key, _locate(place, folder, key)) for key in keys]


def check_numbers(item: ExportObject, links: Sequence[Link]) -> Iterator[Fault]:
    """Yield the faults between an object's name and the numbers of its blocks, which rise by one."""
    for before, link in pairwise(links):
        if link.sequence_no != before.sequence_no + 1:
            detail = f"{item.name}: block {link.sequence_no} follows block {before.sequence_no}"
            yield Fault(link.sequence_no, "order", detail)
    if item.first_no is None or not links:
        return
    first_no, last_no = links[0].sequence_no, links[-1].sequence_no
    if (first_no, last_no) != (item.first_no, item.last_no):
        yield Fault(None, "object", f"{item.name}: holds blocks {first_no} to {last_no}, unlike its name")


def _locate(place: Place, folder: PurePosixPath, key: str) -> File | None:
    parts = [part for part in PurePosixPath(key).parts if part not in ("/", "..")]
    names = (str(folder.joinpath(*parts[start:])) for start in range(len(parts)))
    return next((file for name in names if (file := place.find(name)) is not None), None)
