"""Sources as a user names them: an export, by its manifest or its objects' names, or archived raw Kinesis records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from strandline.journal.decode.gzip import decompress
from strandline.journal.decode.objects import block_values
from strandline.journal.decode.packaging import user_records
from strandline.journal.decode.stream import as_record
from strandline.journal.errors import StrandlineError, UnreadableError, UnsupportedValueError, UsageError
from strandline.journal.ion import values as ion
from strandline.journal.sources.export import COMPLETED, ExportObject, export_object, named_objects, objects_of
from strandline.journal.sources.place import File, Folder, Place, address_of, local_file

NOTE = "restoration.json"

# Files to inspect for records if no name shows what a folder holds.
_INSPECTED_FILES = 8
# Raw records that are decoded together: enough to hide fixed costs, few enough for flat memory.
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_FILES = 500


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """Some of an archive's files of raw records; their names give no order."""

    name: str
    files: tuple[File, ...]
    first_no: None = None
    last_no: None = None


Item = ExportObject | RecordFiles


@dataclass(frozen=True, slots=True)
class Source:
    """An export, with or without a manifest, or an archive of records: the items to read, in order.

    `note` is the file that says what `restore` did, if the export is its copy (journal/restore/note.py).
    """

    address: str
    kind: Literal["export", "records"]
    items: Sequence[Item]
    note: File | None = None

    @property
    def first_no(self) -> int:
        return min((item.first_no for item in self.items if item.first_no is not None), default=0)


def local_sources(address: str) -> list[Source]:
    """Return the sources in a local folder, manifest or file, sorted by their first blocks.

    Raises UsageError if it does not exist, StrandlineError if it holds no journal, UnreadableError if a manifest is
    damaged.
    """
    path = Path(address)
    try:
        if path.is_dir():
            return sources_in(Folder(path))
        if path.exists():
            return [source_of(local_file(path, path.name), Folder(path.parent), address)]
    except PermissionError as error:
        raise StrandlineError(f"{address}: cannot be read ({error.strerror})") from None
    except OSError:  # a name that no file can have
        pass
    raise UsageError(f"{address}: no such file or folder")


def sources_in(place: Place) -> list[Source]:
    """Return the exports in a place, by their manifests, else by their objects' names; else the records there."""
    files = list(place.files())
    manifests = [file for file in files if file.name.endswith(COMPLETED)]
    note = next((file for file in files if file.name == NOTE), None)
    if manifests:
        exports = [
            Source(address_of(place, manifest), "export", objects_of(manifest, place), note) for manifest in manifests
        ]
        if any(export.items for export in exports):
            return sorted(exports, key=lambda export: export.first_no)
    elif objects := named_objects(files):
        return [Source(place.address, "export", objects, note)]
    elif any(map(holds_records, islice(plain := [file for file in files if not _hidden(file)], _INSPECTED_FILES))):
        return [Source(place.address, "records", list(_batches(plain)))]
    raise StrandlineError(
        f"{place.address}: holds no export objects (<strand>.<first>-<last>.ion or .json) and no raw Kinesis records; "
        "name the folder that a completed export was copied to"
    )


def source_of(file: File, place: Place, address: str) -> Source:
    """Return the source in one file: a manifest in a place, a record, or an object of any name."""
    if file.name.endswith(".manifest"):
        objects = objects_of(file, place)
        if not objects:
            raise StrandlineError(f"{address}: names no objects, so the export holds no blocks")
        return Source(address, "export", objects)
    if export_object(file.name, file).first_no is None and holds_records(file):
        return Source(address, "records", list(_batches([file])))
    item = export_object(file.name, file)
    if item.first_no is None and not _holds_block(file):
        raise StrandlineError(
            f"{address}: holds neither blocks of an export nor Kinesis records: name an export's folder, manifest or "
            "object, or an archive of records"
        )
    return Source(address, "export", [item])


def all_items(sources: Sequence[Source]) -> Iterator[Item]:
    """Yield each item once, in order, however many of the sources name it."""
    seen: set[Sequence[File]] = set()
    for source in sources:
        for item in source.items:
            if not item.files:
                yield item
            elif item.files not in seen:
                seen.add(item.files)
                yield item


def holds_records(file: File) -> bool:
    """Return True if a file begins with a record of QLDB's, in any form of `journal.decode.packaging`."""
    try:
        first = next(user_records(file.read()), b"")
        if first.startswith(ion.BINARY_VERSION_MARKER):
            as_record(next(ion.read(first), None))
            return True
    except UnreadableError:
        pass
    return False


def _holds_block(file: File) -> bool:
    """Return True if a file begins with a block, in any form of an export."""
    try:
        values = block_values(decompress(file.read()))
        value = next((value for value in values if type(value) is not UnsupportedValueError), None)
    except UnreadableError:
        return False
    return isinstance(value, Mapping) and "blockAddress" in value


def _hidden(file: File) -> bool:
    """Return True for files that other programs leave in a folder."""
    return any(part.startswith(".") for part in file.name.split("/"))


def _batches(files: Iterable[File]) -> Iterator[RecordFiles]:
    batch: list[File] = []
    size = 0
    for file in files:
        if batch and (size + file.size > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield _batch(batch)
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield _batch(batch)


def _batch(files: Sequence[File]) -> RecordFiles:
    name = files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
    return RecordFiles(name, tuple(files))
