"""Decoding export objects side by side, and giving the results back in the objects' order, in bounded memory."""

import hashlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from journal.block import Fault
from journal.errors import StrandlineError
from journal.export import ExportObject, check_numbers
from journal.rows import Decoded, decode

_SMALL = 2 * 1024 * 1024  # bytes that are decoded sooner than processes start
_READ_AHEAD = 2  # objects submitted beyond those being decoded, so that no process waits for the next


@dataclass(frozen=True, slots=True)
class DecodedObject:
    """An object and what it held; `digest` is the SHA-256 of its bytes. Faults without a number name the object."""

    item: ExportObject
    digest: bytes
    decoded: Decoded


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """Where to decode: processes, or one thread of this process for one worker.

    Processes are spawned, so that they inherit no connection and no exit handler.
    """
    pool: Executor = ThreadPoolExecutor(1)
    if workers > 1:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_signals_to_parent)
    try:
        yield pool
    except BrokenExecutor:
        raise StrandlineError(
            "a decoding process ended before its work was done (out of memory?); what is stored stays, run it again"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def workers_for(items: Iterable[ExportObject], most: int) -> int:
    """How many workers these objects are worth."""
    size = 0
    for item in items:
        size += item.path.stat().st_size if item.path is not None else 0
        if size > _SMALL:
            return most
    return 1


def decode_objects(
    items: Iterable[ExportObject],
    pool: Executor,
    *,
    workers: int,
    trust_deletions: bool = False,
    with_rows: bool = True,
    skip: Callable[[bytes], bool] = lambda _: False,
) -> Iterator[DecodedObject]:
    """Decode each object in the pool; one for whose digest `skip` says so is passed over.

    An object that is not there, or cannot be read, is a fault like any other.
    """
    work = partial(decode, trust_deletions=trust_deletions, with_rows=with_rows)
    waiting: deque[tuple[ExportObject, bytes, Future[Decoded]]] = deque()
    for item in items:
        try:
            data = item.read()
        except StrandlineError as error:
            while waiting:
                yield _result(*waiting.popleft())
            yield DecodedObject(item, b"", Decoded(faults=[Fault(None, "object", str(error))]))
            continue
        digest = hashlib.sha256(data).digest()
        if skip(digest):
            continue
        waiting.append((item, digest, pool.submit(work, data)))
        del data
        while len(waiting) >= workers + _READ_AHEAD:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(item: ExportObject, digest: bytes, future: "Future[Decoded]") -> DecodedObject:
    decoded = future.result()
    decoded.faults = [
        fault if fault.sequence_no is not None else fault._replace(detail=f"{item.name}: {fault.detail}")
        for fault in decoded.faults
    ]
    decoded.faults.extend(check_numbers(item, decoded.links))
    if not decoded.links and not decoded.faults:
        decoded.faults.append(Fault(None, "object", f"{item.name}: holds no blocks"))
    return DecodedObject(item, digest, decoded)


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
