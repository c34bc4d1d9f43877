"""Files to save, sent as they are made: memory does not grow with them."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from strandline.console.page import Download

log = structlog.get_logger()

CHUNK = 64 * 1024


class DownloadBroken(Exception):
    """A download failed after its beginning was sent. The connection is cut, so that the file is not taken as whole."""


def download_response(download: Download) -> Response:
    """Return the response. Of a stream, the first part is made here: an error before it can still be answered."""
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(download.name, safe='')}"}
    if isinstance(download.content, bytes):
        return Response(download.content, media_type=download.media_type, headers=headers)
    parts = _chunks(download.content)
    first = next(parts, b"")
    return _Streamed(first, parts, download.media_type, headers)


class _Streamed(StreamingResponse):
    """Sends parts as they are made, and closes what makes them when the client is gone."""

    def __init__(self, first: bytes, parts: Generator[bytes], media_type: str, headers: dict[str, str]) -> None:
        super().__init__(_sent(first, parts), media_type=media_type, headers=headers)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(self._parts.close)


def _sent(first: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    try:
        yield from parts
    except Exception as error:  # its text may hold payload
        log.error("download failed", error=type(error).__name__)
        raise DownloadBroken from None


def _chunks(texts: Generator[str, Any, Any]) -> Generator[bytes]:
    """Yield the texts as UTF-8, in parts of some size."""
    waiting: list[str] = []
    size = 0
    with closing(texts):
        for text in texts:
            waiting.append(text)
            size += len(text)
            if size >= CHUNK:
                yield "".join(waiting).encode("utf-8", "backslashreplace")
                waiting, size = [], 0
    yield "".join(waiting).encode("utf-8", "backslashreplace")
