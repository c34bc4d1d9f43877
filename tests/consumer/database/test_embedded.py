"""Real servers and real processes: who starts, shares, adopts and stops the embedded PostgreSQL."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from strandline.consumer.database import embedded_server
from strandline.consumer.database.embedded import embedded_postgres, stop_embedded
from strandline.journal.errors import StrandlineError

pytestmark = pytest.mark.postgres  # each starts an embedded server of its own

# Ctrl-C counts also where the tests run in a shell's background, which has it ignored.
USER = """
import signal
import sys
from pathlib import Path
from strandline.consumer.database.embedded import embedded_postgres
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own, outside pytest's folder (see conftest); whatever fails, no server is left behind."""
    with tempfile.TemporaryDirectory(prefix="strandline-test-") as folder:
        home = Path(folder) / "home"
        yield home
        pid = _server_pid(home)
        if pid is not None:
            _kill(pid)
            pytest.fail("the server was left behind")


class Command:
    """Another process that uses the server until it is told to end."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.end()


def _server_pid(home: Path) -> int | None:
    file = home / "postgres" / "postmaster.pid"
    if not file.exists():
        return None
    pid = int(file.read_text().split()[0])
    return pid if psutil.pid_exists(pid) and "postgres" in psutil.Process(pid).name() else None


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(30)


def _ping(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT 1").fetchone()
        assert row is not None
        return int(row[0])


def test_made_started_stopped_and_kept(home: Path) -> None:
    with embedded_postgres(home) as url:
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE kept ()")
            row = conn.execute("SELECT current_database(), current_setting('fsync')").fetchone()
        assert row == ("strandline", "on")
    assert _server_pid(home) is None
    with embedded_postgres(home) as url, psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def _wait_until_stopped(home: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _server_pid(home) is not None:
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_server_lingers_then_stops(home: Path) -> None:
    with embedded_postgres(home, linger=2) as url:
        pid = _server_pid(home)
    assert _ping(url) == 1
    time.sleep(1)
    with embedded_postgres(home, linger=3):  # the same server, and a later use of it
        assert _server_pid(home) == pid
    time.sleep(2)
    assert _ping(url) == 1, "an earlier command's wait stopped it"
    _wait_until_stopped(home, 30)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_lingering_server_is_stopped_on_request(home: Path) -> None:
    assert stop_embedded(home)
    with embedded_postgres(home, linger=60):
        other = Command(home)
        other.url()
    assert not stop_embedded(home), "another process uses it"
    other.kill()
    assert _server_pid(home) is not None
    assert stop_embedded(home)
    assert _server_pid(home) is None


def test_nested_use_stops_with_the_outer_one(home: Path) -> None:
    with embedded_postgres(home) as outer:
        with embedded_postgres(home) as inner:
            assert inner == outer
        assert _ping(outer) == 1
    assert _server_pid(home) is None


def test_last_living_command_stops_it(home: Path) -> None:
    first, second = Command(home), None
    url = first.url()
    second = Command(home)
    assert second.url() == url
    first.end()
    assert _ping(url) == 1
    second.end()
    assert _server_pid(home) is None


def test_killed_command_does_not_count(home: Path) -> None:
    first = Command(home)
    url = first.url()
    second = Command(home)
    assert second.url() == url
    first.kill()
    assert _ping(url) == 1
    second.end()
    assert _server_pid(home) is None


def test_server_left_by_a_kill_is_adopted(home: Path) -> None:
    first = Command(home)
    first.url()
    first.kill()
    left = _server_pid(home)
    assert left is not None
    with embedded_postgres(home) as url:
        assert _ping(url) == 1
        assert _server_pid(home) == left
    assert _server_pid(home) is None


def test_two_first_starts_at_once(home: Path) -> None:
    commands = [Command(home) for _ in range(3)]
    urls = {command.url() for command in commands}
    assert len(urls) == 1
    assert _ping(urls.pop()) == 1
    for command in commands:
        command.end()
    assert _server_pid(home) is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_workers_neither_stop_nor_hold_it(home: Path) -> None:
    with embedded_postgres(home) as url:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            assert list(pool.map(_ping, [url] * 4)) == [1] * 4
        assert _ping(url) == 1
        child = os.fork()
        if child == 0:
            try:
                sys.exit(0)  # leaves by the context manager, as a worker that raises would
            finally:
                with embedded_postgres(home):
                    pass
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert _ping(url) == 1
    assert _server_pid(home) is None


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_interrupted_command_stops_it(home: Path, number: signal.Signals) -> None:
    command = Command(home)
    command.url()
    command.process.send_signal(number)
    command.process.wait(60)
    command.process.communicate()
    assert _server_pid(home) is None


def test_recovers_after_the_server_was_killed(home: Path) -> None:
    with embedded_postgres(home) as url:
        pid = _server_pid(home)
        assert pid is not None
        _kill(pid)
        with pytest.raises(psycopg.OperationalError):
            _ping(url)
    with embedded_postgres(home) as url:
        assert _ping(url) == 1


def test_pid_that_another_program_has_now(home: Path) -> None:
    with embedded_postgres(home) as url:
        pid = _server_pid(home)
        assert pid is not None
        lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    stale = home / "postgres" / "postmaster.pid"
    with subprocess.Popen(["sleep", "600"]) as other:
        stale.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        os.chown(stale, stale.parent.stat().st_uid, stale.parent.stat().st_gid)
        with embedded_postgres(home) as url:
            assert _ping(url) == 1
        assert other.poll() is None
        other.kill()


def test_stopped_server_that_another_command_uses_is_not_started_twice(home: Path) -> None:
    command = Command(home)
    command.url()
    pid = _server_pid(home)
    assert pid is not None
    _kill(pid)
    with pytest.raises(StrandlineError, match="another command"), embedded_postgres(home):
        pass
    command.end()


def test_waits_for_a_server_that_another_left_starting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`postmaster.pid` is short, and connections are refused, until the server is ready."""
    with embedded_postgres(home):
        pass
    answers = iter([False, False, True])
    monkeypatch.setattr(embedded_server, "_answers", lambda _: next(answers))
    with embedded_postgres(home) as url:
        assert _ping(url) == 1


def test_half_made_cluster_is_made_anew(home: Path) -> None:
    (home / "postgres.new").mkdir(parents=True)
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")
    with embedded_postgres(home) as url:
        assert _ping(url) == 1


@pytest.mark.parametrize("name", ["h" * 100, "a,b", "it's a home"])
def test_path_that_no_socket_can_have(home: Path, name: str) -> None:
    home = home / name
    with embedded_postgres(home) as url:
        assert _ping(url) == 1
        folder = Path(psycopg.conninfo.conninfo_to_dict(url)["host"])
        assert folder.stat().st_mode & 0o077 == 0
    assert _server_pid(home) is None
    assert folder == home / "postgres" or not folder.exists()


def test_path_that_pg_ctl_cannot_quote(home: Path) -> None:
    with pytest.raises(StrandlineError, match="pg_ctl"), embedded_postgres(home / "$x"):
        pass


def test_environment_does_not_reach_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_YY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with embedded_postgres(home) as url:
        assert _ping(url) == 1
        pid = _server_pid(home)
        assert pid is not None
        assert "secret" not in str(psutil.Process(pid).environ())


def test_log_holds_no_values(home: Path) -> None:
    with embedded_postgres(home) as url, psycopg.connect(url) as conn, pytest.raises(psycopg.Error):
        conn.execute("SELECT 'a name'::int")
    assert "a name" not in (home / "postgres" / "log").read_text()


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrandlineError, match="STRANDLINE_HOME"), embedded_postgres(tmp_path / "file" / "home"):
        pass


def test_data_of_another_user_or_version(home: Path) -> None:
    with embedded_postgres(home):
        pass
    version = home / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(StrandlineError, match="PostgreSQL 17"), embedded_postgres(home):
        pass
    if os.geteuid() == 0:
        os.chown(home / "postgres", 54321, -1)
        with pytest.raises(StrandlineError, match="another user"), embedded_postgres(home):
            pass


def test_failure_to_make_the_cluster_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded_server.SERVER_SETTINGS, "max_connections", "none")
    with pytest.raises(StrandlineError, match="initdb failed"), embedded_postgres(home):
        pass
    monkeypatch.undo()
    with embedded_postgres(home) as url:
        assert _ping(url) == 1


def test_nothing_is_logged_for_a_replica(home: Path) -> None:
    with embedded_postgres(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("minimal",)
