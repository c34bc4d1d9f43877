"""The embedded PostgreSQL, used if no other is set: one per home, shared by the commands that run.

The last user stops it, at once or after a while, so that the next command need not start it again. The kernel counts
the users by file locks: the wheel's list of pids would keep those of killed processes permanently.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strandline.consumer.database.embedded_server import INSTEAD, EmbeddedServer
from strandline.journal.errors import StrandlineError


@contextmanager
def embedded_postgres(home: Path, *, tcp: bool = False, linger: int = 0) -> Iterator[str]:
    """Give the URL of database `strandline` on the server of `home`; create and start it if needed.

    The server stops `linger` seconds after the last process that uses it has left. A server left by a killed process is
    adopted by the next. May be nested, and used from threads; a forked child that leaves does not count. With `tcp`,
    the server also listens on the loopback address, for the readers' logins.
    Raises `StrandlineError` if the home cannot be used or the server does not start.
    """
    home = home.expanduser().resolve()
    with _threads:
        use = _uses.get(home) or _join(home, tcp=tcp)
        use.count += 1
    try:
        yield use.url
    finally:
        with _threads:
            if _uses.get(home) is use:
                use.count -= 1
                if use.count == 0:
                    _leave(home, linger)


def stop_embedded(home: Path, unused_seconds: float = 0) -> bool:
    """Stop the server of `home` if no process uses it, and none has for so many seconds; returns whether it is stopped.

    Raises `StrandlineError` if it does not stop.
    """
    home = home.expanduser().resolve()
    if not (home / LOCK).exists():
        return True
    lock = _Lock(home)
    try:
        with lock.changing():
            if not lock.alone() or lock.unused_seconds() < unused_seconds:
                return False
            EmbeddedServer(home / DATA).stop()
            return True
    finally:
        lock.close()


class _Lock:
    """Two locks, for starting or stopping a server and for using it: two bytes of the file `lock` in the home.

    The kernel drops a process's record locks when it ends, however it ends, and a forked child has none of its
    parent's. A process loses them when it closes *any* descriptor of the file: hence one per process.
    """

    _CHANGING, _USING = 0, 1

    def __init__(self, home: Path) -> None:
        self._fd = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, self._CHANGING)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._CHANGING)

    def alone(self) -> bool:
        """Tell whether no other process uses the server. The caller holds `changing`."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._USING)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def use(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_SH, 1, self._USING)

    def note_use(self) -> None:
        """Record the time, as that of the last use."""
        os.utime(self._fd)

    def unused_seconds(self) -> float:
        return time.time() - os.fstat(self._fd).st_mtime

    def close(self) -> None:
        os.close(self._fd)


@dataclass
class _Use:
    """This process's use of one home's server; `count` is how often it is entered."""

    lock: _Lock
    cluster: EmbeddedServer
    url: str = ""
    count: int = 0


LOCK, DATA = "lock", "postgres"  # in the home

_threads = threading.RLock()
_uses: dict[Path, _Use] = {}


def _forget() -> None:
    """Forget the servers in a forked child: it uses its parent's without being counted, and must never stop one."""
    global _threads, _uses
    _threads, _uses = threading.RLock(), {}


os.register_at_fork(after_in_child=_forget)


def _join(home: Path, *, tcp: bool) -> _Use:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        use = _Use(_Lock(home), EmbeddedServer(home / DATA))
    except OSError as exc:
        raise _unusable(home, exc) from exc
    _uses[home] = use
    try:
        with use.lock.changing():
            alone = use.lock.alone()
            use.lock.use()
            use.url = use.cluster.ensure_running(alone, tcp=tcp)
    except BaseException as exc:
        _leave(home)
        if isinstance(exc, OSError):
            raise _unusable(home, exc) from exc
        raise
    return use


def _leave(home: Path, linger: int = 0) -> None:
    use = _uses.pop(home)
    try:
        with use.lock.changing():
            if not use.lock.alone():
                return
            if linger:
                use.lock.note_use()
                _stop_later(home, linger)
            else:
                use.cluster.stop()
    finally:
        use.lock.close()


def _stop_later(home: Path, seconds: int) -> None:
    """Start a process that outlives this one, and stops the server unless another command has used it meanwhile."""
    subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(home), str(seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _unusable(home: Path, exc: OSError) -> StrandlineError:
    where = exc.filename or home
    return StrandlineError(f"The embedded PostgreSQL cannot use {where} ({exc.strerror}): {INSTEAD}.")


def main() -> None:
    """Wait, then stop the server of a home: `python -m strandline.consumer.database.embedded HOME SECONDS`."""
    home, seconds = Path(sys.argv[1]), int(sys.argv[2])
    time.sleep(seconds)
    stop_embedded(home, seconds)


if __name__ == "__main__":
    main()
