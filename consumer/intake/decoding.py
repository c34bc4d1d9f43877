"""Reads ahead and decodes in parallel, in bounded memory; results come in the order of the items."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from strandline.journal.check.block import Fault
from strandline.journal.decode.archives import decode_records
from strandline.journal.decode.kernel import KERNEL, decode
from strandline.journal.decode.objects import Decoded
from strandline.journal.errors import StrandlineError
from strandline.journal.garbage import collect_rarely
from strandline.journal.sources.export import check_numbers
from strandline.journal.sources.source import Item, RecordFiles

_SMALL = 2 * 1024 * 1024  # bytes that are decoded sooner than processes start
_SUBMITTED_AHEAD = 2  # beyond those being decoded, so that no process waits for the next
_READERS = 8  # a bucket answers slowly, but many requests at once
_MOST_READ_AHEAD = 32 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class DecodedItem:
    """An object, or some files of records, with its contents; `digest` is the SHA-256 of its bytes.

    Faults without a number name the object.
    """

    item: Item
    digest: bytes
    decoded: Decoded


class _Content(NamedTuple):
    """The files of an item, by name, and those that could not be read."""

    files: list[tuple[str, bytes]]
    faults: list[Fault]

    def digest(self) -> bytes:
        if len(self.files) == 1:
            return hashlib.sha256(self.files[0][1]).digest()
        return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for _, data in self.files)).digest()


class _Processes(ProcessPoolExecutor):
    """Starts its processes, which it does when it is given work, with SIGINT blocked.

    Ctrl-C goes to every process of the terminal, and would interrupt them before they can ignore it.
    """

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def executor(workers: int, items: Iterable[Item] | None = None) -> Iterator[Executor]:
    """Give an executor for decoding: threads if the native kernel decodes the items or there is one worker.

    Otherwise processes, which are spawned, so they inherit no connection and no exit handler.
    """
    pool: Executor
    if workers == 1 or (items is not None and taken_natively(items)):
        pool = ThreadPoolExecutor(workers, thread_name_prefix="decoder")
    else:
        context = multiprocessing.get_context("spawn")
        pool = _Processes(workers, mp_context=context, initializer=_start)
    try:
        yield pool
    except BrokenExecutor:
        raise StrandlineError(
            "a decoding process ended early (out of memory?); what is stored stays: run the command again"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def workers_for(items: Iterable[Item], most: int) -> int:
    """Return how many workers these items need: one if they are small."""
    size = 0
    for item in items:
        size += _size(item)
        if size > _SMALL:
            return most
    return 1


def taken_natively(items: Iterable[Item]) -> bool:
    """Tell whether the native kernel decodes all items; plain Python decodes JSON and records, on one thread."""
    return KERNEL == "native" and all(
        not isinstance(item, RecordFiles) and ".json" not in item.name.rpartition("/")[2] for item in items
    )


def decode_items(
    items: Iterable[Item],
    pool: Executor,
    *,
    workers: int,
    trust_deletions: bool = False,
    with_rows: bool = True,
    skip: Callable[[Item, bytes], bool] = lambda _item, _digest: False,
    decoder: Callable[..., Decoded] = decode,
) -> Iterator[DecodedItem]:
    """Decode each item in the pool, but for those that `skip` accepts by their digest.

    A missing or unreadable file is a fault like any other. `decoder` decodes objects; the pool may be processes.
    """
    options = {"trust_deletions": trust_deletions, "with_rows": with_rows}
    waiting: deque[tuple[Item, bytes, list[Fault], Future[Decoded]]] = deque()
    for item, content in _read_ahead(items):
        digest = content.digest()
        if content.files and skip(item, digest):
            continue
        work: Callable[[], Decoded] = partial(decode_records, content.files, **options)
        if not isinstance(item, RecordFiles):
            work = partial(decoder, content.files[0][1], **options) if content.files else Decoded
        waiting.append((item, digest, content.faults, pool.submit(work)))
        del content, work
        while len(waiting) >= workers + _SUBMITTED_AHEAD:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _read_ahead(items: Iterable[Item]) -> Iterator[tuple[Item, _Content]]:
    waiting: deque[tuple[Item, Future[_Content]]] = deque()
    size = 0
    readers = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")
    try:
        for item in items:
            while waiting and (len(waiting) >= _READERS or size + _size(item) > _MOST_READ_AHEAD):
                before, content = waiting.popleft()
                size -= _size(before)
                yield before, content.result()
            waiting.append((item, readers.submit(_read, item)))
            size += _size(item)
        while waiting:
            before, content = waiting.popleft()
            yield before, content.result()
    finally:
        readers.shutdown(wait=True, cancel_futures=True)


def _read(item: Item) -> _Content:
    content = _Content([], [])
    if not item.files:
        content.faults.append(Fault(None, "object", f"{item.name}: named by the manifest, but missing"))
    for file in item.files:
        try:
            content.files.append((file.name, file.read()))
        except StrandlineError as error:
            content.faults.append(Fault(None, "object", str(error)))
    return content


def _size(item: Item) -> int:
    return sum(file.size for file in item.files)


def _result(item: Item, digest: bytes, unread: Sequence[Fault], future: "Future[Decoded]") -> DecodedItem:
    decoded = future.result()
    if not isinstance(item, RecordFiles):
        decoded.faults = [
            fault if fault.sequence_no is not None else fault._replace(detail=f"{item.name}: {fault.detail}")
            for fault in decoded.faults
        ]
        decoded.faults.extend(check_numbers(item, decoded.links))
        if not decoded.links and not decoded.faults and not unread:
            decoded.faults.append(Fault(None, "object", f"{item.name}: holds no blocks"))
    decoded.faults.extend(unread)
    return DecodedItem(item, digest, decoded)


def _start() -> None:
    _belong_to_parent()
    collect_rarely()


def _belong_to_parent() -> None:
    """Leave signals to the parent, and end with it: a parent that is killed cannot end its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
