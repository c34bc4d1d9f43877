"""Bulk writes to an OpenSearch index: parallel, versioned, retried until a deadline."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from json.encoder import encode_basestring
from threading import Event
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError, TransportError
from urllib3.exceptions import NewConnectionError

from strandline.consumer.sinks.contract import StoreFailed

PARALLEL = 4
MOST_ACTIONS = 500
MOST_BYTES = 2_000_000
# Seconds to wait for a server that is down or too busy; the next batch waits again.
PATIENCE_SECONDS = 10.0
REQUEST_SECONDS = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

Action = tuple[str, bytes | None]  # a row's id, and its source; None deletes
_ERROR_TYPE = re.compile(r"[a-z_]{1,80}")


class Bulk:
    """Writes to one index; safe for use from several threads."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client = client
        self._index = index

    def send(self, actions: Mapping[str, bytes | None], version: int, deadline: float) -> dict[str, str]:
        """Do all actions; return the ids that OpenSearch refuses for their contents, with the type of its error.

        A row with a higher version stays as it is; a row to delete may be missing. Raises `StoreFailed`, after all
        requests of this process have ended.
        """
        parts = list(_parts(actions))
        stop = Event()
        refused: dict[str, str] = {}
        if len(parts) < 2:
            return self._send_part(parts[0], version, deadline, stop) if parts else refused
        with ThreadPoolExecutor(min(PARALLEL, len(parts)), thread_name_prefix="bulk") as pool:
            sent = [pool.submit(self._send_part, part, version, deadline, stop) for part in parts]
        # All have ended. The first failure is raised, as unanswered if any was.
        failures = [failure for one in sent if (failure := one.exception())]
        for first in failures:
            if isinstance(first, StoreFailed):
                first.unanswered = any_unanswered(failures)
            raise first
        for one in sent:
            refused |= one.result()
        return refused

    def _send_part(self, part: Sequence[Action], version: int, deadline: float, stop: Event) -> dict[str, str]:
        refused: dict[str, str] = {}
        pause, patience = FIRST_PAUSE, min(deadline, time.monotonic() + PATIENCE_SECONDS)
        unanswered = False
        while not stop.is_set():
            try:
                items = self._post(part, version, deadline)
                part = _left(part, items, refused)
                if not part:
                    return refused
                trouble = "too busy (it deferred part of a write)"
            except ConnectionError as exc:
                unanswered |= not isinstance(exc.info, NewConnectionError)
                trouble = f"not reachable ({type(exc).__name__})"
            except TransportError as exc:
                trouble = f"not able to write (status {exc.status_code})"
                if not _may_pass(exc.status_code):
                    stop.set()
                    raise StoreFailed(f"OpenSearch is {trouble}.", unanswered=unanswered) from None
            except StoreFailed as exc:
                stop.set()
                raise StoreFailed(str(exc), unanswered=unanswered) from None
            if time.monotonic() + pause >= patience:
                stop.set()
                raise StoreFailed(f"OpenSearch is {trouble}.", unanswered=unanswered) from None
            stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        raise StoreFailed("OpenSearch failed in another part of the write.", unanswered=unanswered)

    def _post(self, part: Sequence[Action], version: int, deadline: float) -> list[Any]:
        seconds = min(REQUEST_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            raise StoreFailed("OpenSearch did not accept the batch within the time of a lease.")
        parameters = {
            "request_timeout": seconds,
            # A server that waits for a shard must not write after this process has given up.
            "timeout": f"{max(1, int(seconds * 1000))}ms",
            "filter_path": "items.*.status,items.*.error.type,items.*.error.caused_by.type",
        }
        answer = self._client.bulk(body=_body(part, version), index=self._index, params=parameters)
        items = [next(iter(item.values())) for item in answer["items"]]
        assert len(items) == len(part)
        return items


def any_unanswered(failures: Iterable[BaseException | None]) -> bool:
    """Return whether one of the failures is of a request of which nobody knows if it was done."""
    return any(isinstance(failure, StoreFailed) and failure.unanswered for failure in failures)


def _left(part: Sequence[Action], items: Sequence[Any], refused: dict[str, str]) -> list[Action]:
    """Return the actions to send again; note those that are refused permanently."""
    left = []
    for action, item in zip(part, items, strict=True):
        status = item["status"]
        if status < 300 or status == 409 or (status == 404 and action[1] is None and "error" not in item):
            continue
        if _may_pass(status):
            left.append(action)
        elif status == 400:
            refused[action[0]] = _reason(item)
        else:
            raise StoreFailed(f"OpenSearch refuses to write (status {status}, {_type(item)}).")
    return left


def _may_pass(status: Any) -> bool:
    return isinstance(status, int) and (status == 429 or status >= 500)


def _reason(item: Any) -> str:
    return f"OpenSearch refuses the row ({_type(item)})"


def _type(item: Any) -> str:
    """Return the error's type, which names no value; its reason would."""
    found = str(item.get("error", {}).get("type", ""))
    return found if _ERROR_TYPE.fullmatch(found) else "unknown error"


def _parts(actions: Mapping[str, bytes | None]) -> Iterator[list[Action]]:
    part: list[Action] = []
    size = 0
    for action in actions.items():
        part.append(action)
        size += len(action[1] or b"")
        if len(part) >= MOST_ACTIONS or size >= MOST_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _body(part: Sequence[Action], version: int) -> bytes:
    lines = []
    for row_id, source in part:
        # Ids consist of ids, numbers and hashes, but a document's id might contain anything.
        name = encode_basestring(row_id)
        what = "delete" if source is None else "index"
        lines.append(f'{{"{what}":{{"_id":{name},"version":{version},"version_type":"external_gte"}}}}'.encode())
        if source is not None:
            lines.append(source)
    lines.append(b"")
    return b"\n".join(lines)
