"""Copies an export, every object and manifest of it, with every known redaction applied."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strandline.consumer.intake.decoding import decode_items, executor, workers_for
from strandline.consumer.verification.verify import Verification, verify_sources
from strandline.journal.check.block import Fault
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.scrub import scrub
from strandline.journal.sources.export import ExportObject
from strandline.journal.sources.place import Folder, LocalFile, local_file
from strandline.journal.sources.source import Source, local_sources

Progress = Callable[[str, int, int], None]
MANIFEST = ".manifest"


@dataclass(frozen=True)
class Scrubbed:
    """The result of a scrub: `redactions` counts those known, `changed` the objects that had data of them.

    `left_out` counts the files that were not copied because they are neither an object nor a manifest.
    """

    objects: int
    changed: int
    manifests: int
    left_out: int
    redactions: int
    verification: Verification


def scrub_export(
    source: str,
    destination: Path,
    *,
    strand_id: str | None,
    register: Mapping[tuple[str, int], bytes | None],
    workers: int,
    progress: Progress = lambda *_: None,
) -> Scrubbed:
    """Copy an export in a folder, without the data that its own redactions and the register name.

    `register` belongs to `strand_id`, and is ignored if the export is of another strand. The copy is verified. Raises
    `UsageError` if the source is not a local export or the destination is not empty, `StrandlineError` if the source
    does not verify or the copy is not the same chain.
    """
    sources, place = _export(source)
    _check_destination(destination)
    before = verify_sources(sources, workers=workers)
    _check(before, f"{source} does not verify, so nothing is written")
    redacted = _redacted_in(sources, workers)
    if before.strand_id == strand_id:
        redacted |= register
    objects = {item.file.name: item.file for one in sources for item in one.items if isinstance(item, ExportObject)
               if item.file is not None}  # fmt: skip
    others = [file for file in _other_files(source, place) if file.name not in objects]
    manifests = [file for file in others if file.name.endswith(MANIFEST)]
    changed = 0
    for index, file in enumerate(objects.values()):
        data = file.read()
        scrubbed = scrub(data, redacted)
        changed += scrubbed is not data
        _write(destination / file.name, scrubbed)
        progress("scrubbing", index + 1, len(objects))
    for manifest in manifests:
        _write(destination / manifest.name, manifest.read())
    after = verify_sources(local_sources(str(destination)), workers=workers)
    _check(after, f"the copy in {destination} does not verify: do not use it")
    if (after.digest, after.first_no, after.last_no) != (before.digest, before.first_no, before.last_no):
        raise StrandlineError(f"The copy in {destination} is not the same journal as {source}: do not use it.")
    return Scrubbed(len(objects), changed, len(manifests), len(others) - len(manifests), len(redacted), after)


def _export(source: str) -> tuple[list[Source], Folder]:
    if source.startswith("s3://"):
        raise UsageError(f"{source}: is not local: copy it to a folder (`aws s3 cp --recursive`), and scrub that.")
    sources = local_sources(source)
    if any(one.kind != "export" for one in sources):
        raise UsageError(f"{source}: holds Kinesis records: only exports can be scrubbed.")
    path = Path(source)
    return sources, Folder(path if path.is_dir() else path.parent)


def _other_files(source: str, place: Folder) -> Sequence[LocalFile]:
    """Return the files that may belong to the export: all of a folder; for a manifest, those of its export id."""
    path = Path(source)
    if path.is_dir():
        return list(place.files())
    export_id = path.name.partition(".")[0]
    return [local_file(each, each.name) for each in sorted(path.parent.glob(f"{export_id}.*{MANIFEST}"))]


def _redacted_in(sources: Sequence[Source], workers: int) -> dict[tuple[str, int], bytes | None]:
    items = [item for one in sources for item in one.items]
    workers = workers_for(items, workers)
    with executor(workers, items) as pool:
        decoded = decode_items(items, pool, workers=workers, with_rows=False)
        return {key: None for item in decoded for key in item.decoded.named}


def _check_destination(destination: Path) -> None:
    try:
        destination.mkdir(parents=True, exist_ok=True)
        occupied = any(destination.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {destination}: {error.strerror}") from None
    if occupied:
        raise UsageError(f"{destination} is not empty: name a new folder, so that nothing is overwritten")


def _check(found: Verification, problem: str) -> None:
    if found.answer == "does not hold":
        first = found.faults[0] if found.faults else Fault(None, "object", "it holds no blocks")
        place = "" if first.sequence_no is None else f"block {first.sequence_no}: "
        raise StrandlineError(
            f"{problem}.\n{found.fault_count} faults, the first of them in {place}{first.fault}: {first.detail}"
        )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
