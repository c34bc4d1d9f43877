"""Copies a JSON export as Ion, with the types that JSON lost, as far as the hashes of its revisions confirm them."""

import hashlib
import os
import pickle
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from strandline.consumer.intake.decoding import executor, workers_for
from strandline.consumer.restoration.hint_files import HintSources
from strandline.consumer.restoration.progress_file import DoneObject, ProgressFile
from strandline.consumer.verification.verify import Verification, verify_sources
from strandline.journal.check.members import ShapeError
from strandline.journal.errors import StrandlineError, UnreadableError, UsageError
from strandline.journal.ion.values import write_text
from strandline.journal.restore.block import HeldOut, Restorer
from strandline.journal.restore.budget import BUDGET
from strandline.journal.restore.history import History
from strandline.journal.restore.note import Note, notes_of, write_note
from strandline.journal.restore.objects import RestoredObject, restore_object
from strandline.journal.sources.export import COMPLETED, ExportObject
from strandline.journal.sources.place import File
from strandline.journal.sources.source import NOTE, Source, all_items, local_sources

Progress = Callable[[str, int, int], None]

_NUMBERS = re.compile(r"\.\d+-\d+\.(?:ion|json|10n)(?:\.gz)?$")
_AHEAD = 2  # objects that wait for a free process


@dataclass
class Restoration:
    """The result: what was read, what is Ion now, and what holds out.

    `lifted` counts the revisions with data that are Ion now, by table; `kept_back` those that were found, but stay JSON
    because another part of their block was not. `before` and `after` are the verifications of source and copy.
    """

    before: Verification
    after: Verification
    objects: int = 0
    resumed: int = 0
    blocks: int = 0
    restored: int = 0
    tried: int = 0
    lifted: Counter[str] = field(default_factory=Counter)
    kept_back: Counter[str] = field(default_factory=Counter)
    held_out: list[HeldOut] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.after.level == "full" and not self.held_out


class _Task(NamedTuple):
    item: ExportObject
    sha256: str
    knowledge: int
    future: "Future[RestoredObject]"


def restore_export(
    sources: Sequence[Source],
    destination: Path,
    *,
    hints: HintSources,
    workers: int,
    budget: int = BUDGET,
    progress: Progress = lambda *_: None,
) -> Restoration:
    """Restore an export into a folder, and verify the copy. Resumes in a folder where it was interrupted.

    A block of which something holds out stays JSON, in an object of its own. Raises UsageError if the sources are no
    export or the folder holds anything else, StrandlineError if the source or the copy does not verify.
    """
    if any(source.kind != "export" for source in sources):
        raise UsageError("the source holds Kinesis records, which have lost no types: only exports can be restored")
    items = [item for item in all_items(sources) if isinstance(item, ExportObject)]
    file = _open(destination)
    before = verify_sources(sources, workers=workers)
    _check(before, "the source does not verify, so nothing is restored")
    run = _Run(items, destination, file, hints, budget, workers_for(items, workers), progress)
    run.restore()
    _write_manifests(sources, destination, file)
    _remove_leftovers(destination, file)
    after = verify_sources(local_sources(str(destination)), workers=workers)
    _check(after, f"the copy in {destination} does not verify: do not use it")
    if (after.digest, after.first_no, after.last_no) != (before.digest, before.first_no, before.last_no):
        raise StrandlineError(f"The copy in {destination} is not the same journal as the source: do not use it.")
    result = Restoration(before, after, objects=len(items), resumed=run.resumed)
    for done in (file.done[item.name] for item in items):
        result.blocks += done.blocks
        result.restored += done.restored
        result.tried += done.tried
        result.lifted += done.lifted
        result.kept_back += done.kept_back
        result.held_out += done.held_out
    _write_file(destination / NOTE, write_note(_note(sources, result)))
    file.remove()
    return result


class _Run:
    """Restores the objects that are not done, in order; then once more those that may have become easier."""

    def __init__(
        self,
        items: Sequence[ExportObject],
        destination: Path,
        file: ProgressFile,
        hints: HintSources,
        budget: int,
        workers: int,
        progress: Progress,
    ) -> None:
        self.resumed = 0
        self._items = items
        self._destination = destination
        self._file = file
        self._budget = budget
        self._workers = workers
        self._progress = progress
        # Knows all that any process has learned; the processes get a copy with each object.
        self._known = Restorer(hints.hints)
        for learned in file.learned:
            self._known.learn(learned)
        self._learn_from(hints.copies)
        self._pickled: bytes | None = None

    def restore(self) -> None:
        with executor(self._workers, self._items) as pool:
            self._pass(pool, "restoring", self._items)
            unsolved = [item for item in self._items if self._may_be_easier(self._file.done[item.name])]
            self._pass(pool, "searching again", unsolved, again=True)

    def _learn_from(self, copies: Sequence[File]) -> None:
        for copy in copies:
            try:
                restore_object(copy.read(), self._known)
            except (UnreadableError, ShapeError) as error:
                raise StrandlineError(f"{copy.name}: no Ion blocks to learn types from ({error})") from None

    def _may_be_easier(self, done: DoneObject) -> bool:
        searched = any(one.fields for one in done.held_out)
        return searched and done.knowledge < len(self._file.learned)

    def _pass(self, pool: Executor, label: str, items: Sequence[ExportObject], *, again: bool = False) -> None:
        waiting: deque[_Task] = deque()
        for number, item in enumerate(items, 1):
            data, sha256 = _read(item)
            done = self._file.done.get(item.name)
            if done is not None and done.sha256 == sha256 and not again:
                self.resumed += 1
                self._progress(label, number, len(items))
                continue
            work = pool.submit(restore_with, data, self._snapshot(), self._budget)
            waiting.append(_Task(item, sha256, len(self._file.learned), work))
            while len(waiting) >= self._workers + _AHEAD or (waiting and waiting[0].future.done()):
                self._finish(waiting.popleft())
            self._progress(label, number - len(waiting), len(items))
        while waiting:
            self._finish(waiting.popleft())
            self._progress(label, len(items) - len(waiting), len(items))

    def _snapshot(self) -> bytes:
        """Return the history, pickled here and now: an executor would do it later, while the history changes."""
        if self._pickled is None:
            self._pickled = pickle.dumps(self._known.history)
        return self._pickled

    def _finish(self, task: _Task) -> None:
        try:
            restored = task.future.result()
        except (UnreadableError, ShapeError) as error:
            raise StrandlineError(f"{task.item.name}: {error}") from None
        before = self._file.done.get(task.item.name)
        if before is not None and before.restored >= restored.restored:
            return
        outputs = self._write(task.item, restored)
        for learned in restored.learned:
            self._known.learn(learned)
        for key, failures in restored.failures.items():
            self._known.history.failures[key] = failures
        self._pickled = None
        done = DoneObject(
            task.item.name,
            task.sha256,
            outputs,
            restored.blocks,
            restored.restored,
            restored.tried + (before.tried if before else 0),
            task.knowledge,
            restored.lifted,
            restored.kept_back,
            restored.held_out,
        )
        self._file.add(done, restored.learned)

    def _write(self, item: ExportObject, restored: RestoredObject) -> list[str]:
        outputs = []
        stem = _stem(item)
        for run in restored.runs:
            outputs.append(f"{stem}.{run.first_no}-{run.last_no}.{'json' if run.json else 'ion'}")
            _write_file(self._destination / outputs[-1], run.data)
        return outputs


def restore_with(data: bytes, pickled: bytes, budget: int) -> RestoredObject:
    """Restore an object in whatever process this is, from the history of what is known so far."""
    history: History = pickle.loads(pickled)  # made by this very program
    return restore_object(data, Restorer(budget=budget, history=history))


def _open(destination: Path) -> ProgressFile:
    try:
        destination.mkdir(parents=True, exist_ok=True)
        if not ProgressFile.exists_in(destination) and any(destination.iterdir()):
            raise UsageError(f"{destination} is not empty: name a new folder, so that nothing is overwritten")
        return ProgressFile(destination)
    except OSError as error:
        raise UsageError(f"cannot write to {destination}: {error.strerror}") from None


def _read(item: ExportObject) -> tuple[bytes, str]:
    if item.file is None:
        raise StrandlineError(f"{item.name}: named by the manifest, but missing")
    data = item.file.read()
    return data, hashlib.sha256(data).hexdigest()


def _stem(item: ExportObject) -> str:
    """Return the name of an object without its numbers, and without what made it absolute."""
    name = item.name if item.file is None else item.file.name
    if item.first_no is not None:
        return _NUMBERS.split(name, maxsplit=1)[0]
    return name.rpartition("/")[2].split(".", 1)[0]


def _write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _write_manifests(sources: Sequence[Source], destination: Path, file: ProgressFile) -> None:
    """Write a completed manifest for each of the source's, with the names of the copy's objects."""
    for source in sources:
        if not source.address.endswith(COMPLETED):
            continue
        keys = [
            name for item in source.items if isinstance(item, ExportObject) for name in file.done[item.name].outputs
        ]
        name = source.address.rpartition("/")[2]
        _write_file(destination / name, write_text({"keys": keys}).encode())


def _note(sources: Sequence[Source], result: Restoration) -> Note:
    """Return the note of the copy. What an earlier restoration lifted was Ion in the source."""
    before = notes_of(sources)
    held_out = Counter((one.table, path) for one in result.held_out for path in (*one.fields,) or ("",))
    return Note(result.lifted + (before.lifted if before is not None else Counter()), held_out)


def _remove_leftovers(destination: Path, file: ProgressFile) -> None:
    """Remove objects of an interrupted run that a later one wrote under other names."""
    wanted = {name for done in file.done.values() for name in done.outputs}
    for path in sorted(destination.rglob("*")):
        name = path.relative_to(destination).as_posix()
        leftover = path.suffix in (".ion", ".json") and name not in wanted
        if path.is_file() and (leftover or path.name.endswith(".part")):
            path.unlink()


def _check(found: Verification, problem: str) -> None:
    if found.answer == "does not hold":
        first = found.faults[0]
        place = "" if first.sequence_no is None else f"block {first.sequence_no}: "
        raise StrandlineError(
            f"{problem}.\n{found.fault_count} faults, the first of them in {place}{first.fault}: {first.detail}"
        )
