"""The commands `console` and `demo --console`: they serve until a signal, and end in order."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import Run

COMMAND = [sys.executable, "-m", "strandline.cli"]


@contextmanager
def serving(database: str, folder: Path, *arguments: str) -> Iterator[str]:
    """Run a command; yields the address that it prints last."""
    environment = {**os.environ, "STRANDLINE_DATABASE_URL": database, "STRANDLINE_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(b"Serving the console at "):
                yield line.decode().split()[-1]
                return
        raise AssertionError((folder / "log").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


def read(address: str) -> dict[str, object]:
    with urllib.request.urlopen(address) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def test_console(run: Run, database: str, tmp_path: Path) -> None:
    with serving(database, tmp_path, "console", "--listen", "127.0.0.1:0", "--prefix", "/strandline") as address:
        assert address.endswith("/strandline/")
        assert read(f"{address}health.json")["mark"] is None
        asking = ("console", "--healthcheck", "--prefix", "/strandline", "--listen")
        assert run(*asking, address.split("/")[2]).status == 0
    assert run(*asking, address.split("/")[2]).status == 1


def test_demo_with_console(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"from strandline.cli import demo, main; demo.ADDRESS = '127.0.0.1:{port}'; raise SystemExit(main())"
    monkeypatch.setattr("tests.cli.test_console.COMMAND", [sys.executable, "-c", code])
    with serving(database, tmp_path, "demo", "--sample", "provenance", "--console") as address:
        assert address == f"http://127.0.0.1:{port}/"
        assert read(f"{address}health.json")["mark"] == 149


def test_demo_says_how_to_see_it(run: Run) -> None:
    assert "console, then open http://127.0.0.1:8780/" in run("demo", "--sample", "provenance").out
    assert run("demo", "--console", "--json").status == 2


def test_an_address_beyond_this_machine_is_refused(run: Run) -> None:
    refused = run("console", "--listen", "0.0.0.0:0", "--json")
    assert refused.status == 2
    assert "somebody must sign in" in refused.json["error"]["message"]


@pytest.mark.parametrize(("rights", "status"), [("reader,cleared", 0), ("everything", 2)])
def test_add_user(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rights: str, status: int) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    with (tmp_path / "password").open() as password:
        monkeypatch.setattr(sys, "stdin", password)
        added = run("console", "--add-user", "ada", "--rights", rights)
    assert added.status == status
    assert "correct" not in added.out + added.err
    assert added.out.startswith("ada:scrypt$") is (status == 0)
