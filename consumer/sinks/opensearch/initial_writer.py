"""The backfill of an index: some requests are under way while the next rows are made."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from strandline.consumer.database.connection import Connection
from strandline.consumer.sinks import row_records
from strandline.consumer.sinks.contract import StoreFailed
from strandline.consumer.sinks.opensearch.bulk import MOST_ACTIONS, PARALLEL, any_unanswered
from strandline.consumer.sinks.opensearch.placement import Write
from strandline.consumer.sinks.row_records import Source

# Rows that are recorded together, which costs PostgreSQL less than few at a time.
RECORDED_AT_ONCE = 2_000


class InitialWriter:
    """Writes sources that have no rows yet, once.

    They are recorded in the control transaction: an index whose backfill fails is dropped.
    """

    def __init__(
        self, connection: Connection, generation: int, send: Callable[[Mapping[str, bytes]], dict[str, str]]
    ) -> None:
        self._connection = connection
        self._generation = generation
        self._send = send
        self._unrecorded: list[Source] = []
        self._under_way: deque[tuple[list[Write], Future[dict[str, str]]]] = deque()
        self._refused: list[tuple[Write, str]] = []

    def write(self, writes: Iterable[Write]) -> list[tuple[Write, str]]:
        """Send and record all of it; return the writes that OpenSearch refused, with its reasons. Raises `StoreFailed`;
        no request is under way afterwards."""
        try:
            with ThreadPoolExecutor(PARALLEL, thread_name_prefix="send") as pool:
                left = iter(writes)
                while part := list(islice(left, MOST_ACTIONS)):
                    rows = {row_id: body for one in part for row_id, body in one.rows.items()}
                    self._under_way.append((part, pool.submit(self._send, rows)))
                    self._record(part)
                    if len(self._under_way) > PARALLEL:
                        self._settle()
                row_records.add_first(self._connection, self._generation, self._unrecorded)
                while self._under_way:
                    self._settle()
        except StoreFailed as exc:
            # The answer to another request may never have come.
            exc.unanswered |= any_unanswered(answer.exception() for _, answer in self._under_way)
            raise
        return self._refused

    def _record(self, writes: Iterable[Write]) -> None:
        self._unrecorded += [source for one in writes for source in one.sources]
        if len(self._unrecorded) >= RECORDED_AT_ONCE:
            row_records.add_first(self._connection, self._generation, self._unrecorded)
            self._unrecorded.clear()

    def _settle(self) -> None:
        writes, answer = self._under_way[0]
        faults = answer.result()
        self._under_way.popleft()
        for one in writes if faults else ():
            if fault := next((faults[row_id] for row_id in one.rows if row_id in faults), None):
                self._refused.append((one, fault))
