"""Every command and program in the pages of the three ledgers, and the README's way to a projection: none fails."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from strandline.consumer.database.connection import connect
from strandline.journal.make.export import Format
from strandline.journal.simulation.simulate import simulate

ROOT = Path(__file__).parent.parent.parent
PAGES = ("wallet.md", "provenance.md", "ai-audit.md")
PORT = "8700"
COLUMNS = """
    SELECT attname FROM pg_attribute WHERE attrelid = 'read.licence'::regclass AND attnum > 0"""
GENERATIONS = "SELECT count(*) >= 2 FROM projection.generation WHERE projection = 'licence'"
BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>sh|sh server|python)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, str]]:
    return [(found["kind"], dedent(found["text"])) for found in BLOCK.finditer(text)]


def settings(database: str, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STRANDLINE_DATABASE_URL": database,
        "STRANDLINE_HOME": str(folder / "home"),
    }


@contextmanager
def running(command: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A server, until it says that it serves, and to its end in order."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith(b"Serving "), (folder / "server.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page(page: str, database: str, tmp_path: Path) -> None:
    found = blocks((ROOT / "docs" / page).read_text())
    assert len(found) >= 4
    environment = settings(database, tmp_path)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    script = [f"cd {tmp_path}", f"ln -s {ROOT / 'docs'} docs", "set -euo pipefail"]
    with ExitStack() as servers:
        for kind, text in found:
            if kind == "sh server":
                run(script, environment)
                script = script[:3]
                servers.enter_context(running(f"{text.strip()} --listen 127.0.0.1:{port}", environment, tmp_path))
            elif kind == "python":
                script.append(f"python - <<'PROGRAM'\n{text}PROGRAM")
            else:
                script.append(text.replace(f":{PORT}/", f":{port}/"))
        run(script, environment)


def run(script: list[str], environment: dict[str, str]) -> None:
    """In one shell, so that a variable of one block is there in the next."""
    text = "\n".join(script).replace("ln -s", "ln -sfn")
    done = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr


def test_the_readmes_way_from_a_table_to_a_rebuilt_read_model(database: str, tmp_path: Path) -> None:
    simulate(tmp_path / "journal", 120, 7, Format.ION_BINARY)
    section = (ROOT / "README.md").read_text().partition("## Write a projection\n")[2].partition("\n## ")[0]
    commands = [text for kind, text in blocks(section) if kind == "sh"]
    assert "init-projection" in commands[0]
    assert any("rebuild" in text for text in commands)
    begin = [f"cd {tmp_path}", "set -euo pipefail", "strandline replay journal/full"]
    run([*begin, *commands], settings(database, tmp_path))
    with connect(database) as connection:
        rows = connection.execute("SELECT source_document, licence_id, status, county FROM read.licence").fetchall()
        register = connection.execute(
            "SELECT source_document, licence_id, status, county FROM read.licence_register"
        ).fetchall()
        columns = {name for (name,) in connection.execute(COLUMNS)}
        swapped = connection.execute(GENERATIONS).fetchone()
    assert sorted(rows) == sorted(register)
    assert len(rows) > 10
    assert not columns & {"street", "postcode", "first_name", "last_name", "events"}
    assert swapped == (True,)
