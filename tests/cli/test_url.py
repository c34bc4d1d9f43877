"""The command `url`: logins of the embedded server that may only read."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.cli import main

pytestmark = pytest.mark.postgres  # each starts an embedded server of its own


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    # Not below pytest's folder: the embedded server's account cannot enter that.
    with tempfile.TemporaryDirectory(prefix="strandline-url-") as folder:
        yield {**os.environ, "STRANDLINE_DATABASE_URL": "", "STRANDLINE_HOME": str(Path(folder) / "home")}


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[str]:
    """Run the command and give the URL that it prints; Ctrl-C ends it with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "strandline.cli", "url", *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield (url := process.stdout.readline().strip())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        out, err = process.stdout.read(), process.stderr.read()
        assert f"  psql      psql '{url}'\n" in out
        assert f"  DuckDB    ATTACH '{url}' AS ledger (TYPE postgres, SCHEMA 'read', READ_ONLY)\n" in out
        assert (process.returncode, err) == (0, "Serving until Ctrl-C.\nStopped.\n")


def refused(url: str, **changes: str) -> str:
    with pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(make_conninfo(url, **changes)).close()
    return str(error.value)


def test_url_over_tcp_needs_the_password_and_may_only_read(environment: dict[str, str]) -> None:
    with serving(environment, "--tcp") as url:
        assert "@127.0.0.1:" in url
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("strandline_analyst_login",)
            assert connection.execute("SHOW search_path").fetchone() == ("read",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM journal.revision")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT pg_read_file('PG_VERSION')")
        assert "password authentication failed" in refused(url, password="wrong")
        assert "no pg_hba.conf entry" in refused(url, user="postgres")
        assert "no pg_hba.conf entry" in refused(url, dbname="postgres")
        # Another command shares the server, which goes on to listen.
        command = [sys.executable, "-m", "strandline.cli", "sql", "SELECT current_user"]
        shared = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert shared.stdout == "current_user\nstrandline_cleared_login\n"
        psycopg.connect(url).close()


def test_password_ends_with_its_command_and_no_other_one(environment: dict[str, str]) -> None:
    with serving(environment, "--tcp", "--readers", "cleared") as cleared:  # the server runs on for this one
        with serving(environment, "--tcp") as url:
            connection = psycopg.connect(url, autocommit=True)
        with connection, pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")
        assert "password authentication failed" in refused(url)
        with ExitStack() as later:
            with serving(environment, "--tcp") as first:
                second = later.enter_context(serving(environment, "--tcp"))
                assert "password authentication failed" in refused(first)
            psycopg.connect(second).close()
        psycopg.connect(cleared).close()


def test_url_of_cleared_readers_is_a_socket(environment: dict[str, str]) -> None:
    with serving(environment, "--readers", "cleared") as url:
        assert url.startswith("postgresql://strandline_cleared_login@/strandline?host=%2F")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM ledger.user_tables").fetchone() == (0,)
        # The server is in use without TCP: it is not restarted under another command.
        command = [sys.executable, "-m", "strandline.cli", "url", "--tcp"]
        second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (second.returncode, "end the other commands that use it" in second.stderr) == (1, True)


def test_url_of_another_server_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert main(["url"]) == 2
