"""The statements that a reader ran last, kept in memory: they may hold names, so no table and no log has them."""

from collections import OrderedDict, deque
from threading import Lock

KEPT = 20  # of a reader and a language
MOST_TEXT = 10_000  # characters of one that is kept
MOST_READERS = 200


class History:
    """The last statements by reader and language, the newest first; they go with the console's process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], deque[str]] = OrderedDict()

    def add(self, reader: str, language: str, text: str) -> None:
        """Keep a statement; the same one is not kept twice."""
        if len(text) > MOST_TEXT:
            return
        with self._lock:
            kept = self._kept.setdefault((reader, language), deque(maxlen=KEPT))
            self._kept.move_to_end((reader, language))
            if text in kept:
                kept.remove(text)
            kept.appendleft(text)
            while len(self._kept) > MOST_READERS:
                self._kept.popitem(last=False)

    def of(self, reader: str, language: str) -> list[str]:
        with self._lock:
            return list(self._kept.get((reader, language), ()))
