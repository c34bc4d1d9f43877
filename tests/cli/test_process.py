"""The command as a process: signals, pipes, psql, and its embedded server."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.postgres  # each starts an embedded server of its own

COMMAND = [sys.executable, "-m", "strandline.cli"]


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    return {**os.environ, "STRANDLINE_DATABASE_URL": database}


@pytest.fixture
def home() -> Iterator[Path]:
    # Not below pytest's folder: the embedded server's account cannot enter that.
    with tempfile.TemporaryDirectory(prefix="strandline-cli-") as folder:
        yield Path(folder)


def test_version_needs_no_settings() -> None:
    shown = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.removesuffix("\n").endswith((" (native kernel)", " (python kernel)"))


def test_a_command_loads_what_it_needs() -> None:
    """Every command imports every command's module: what these import at the top, each small command waits for."""
    heavy = ("psycopg", "boto3", "pydantic", "rich", "asyncio", "strandline.journal.check", "strandline.consumer.store")
    code = f"import sys, strandline.cli.app; print(sorted(sys.modules.keys() & {set(heavy)!r}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_help_of_commands_names_json() -> None:
    for command in ("demo", "replay", "verify", "digest", "status", "parked", "retry", "sql", "migrate", "simulate"):
        shown = subprocess.run([*COMMAND, command, "--help"], capture_output=True, text=True, check=True)
        assert "--json" in shown.stdout


def test_reader_that_leaves_is_no_error(environment: dict[str, str]) -> None:
    query = "SELECT repeat('x', 1000) FROM generate_series(1, 5000)"
    process = subprocess.Popen(
        [*COMMAND, "sql", "--json", query],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_sql_without_a_query_runs_psql(environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [*COMMAND, "sql"], env=environment, input="SELECT 40 + 2;", capture_output=True, text=True, check=True
    )
    assert "42" in shown.stdout


def test_sigterm_stops_the_embedded_server(home: Path) -> None:
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": "", "STRANDLINE_HOME": str(home)}
    process = subprocess.Popen(
        [*COMMAND, "sql"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        pid_file = home / "postgres" / "postmaster.pid"
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"SELECT 'ready';\n")
        process.stdin.flush()
        while b"ready" not in process.stdout.readline():
            assert process.poll() is None
        server = psutil.Process(int(pid_file.read_text().split()[0]))
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.monotonic() + 20
    while server.is_running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not server.is_running()


def test_status_watch_repeats_until_ctrl_c(environment: dict[str, str]) -> None:
    command = [*COMMAND, "status", "--watch"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        shown = (line for line in lines if line.startswith("The store is empty"))
        assert len(list(islice(shown, 2))) == 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
