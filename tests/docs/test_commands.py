"""Every command and program in the documentation: none fails."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce
from pathlib import Path

import pytest
from typer.main import get_command

from strandline.cli.app import app
from strandline.consumer.database.connection import connect
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, name_of, prose

NOT_TESTED = {
    "make": "CI runs `make test`; tests/cli runs the demo",
    "console": "runs until Ctrl-C; tests/console and tests/cli run both halves",
    "install": "would install packages",
    "emulators": "runs until Ctrl-C; tests/consumer/worker runs the same emulators",
    "opensearch": "runs until Ctrl-C; tests/opensearch runs the same node",
    "worker": "needs the two above; tests/consumer/worker/test_live.py runs the worker on them",
    "url": "runs until Ctrl-C; tests/cli/test_url.py connects to it",
    "administrator": "needs an administrator of another PostgreSQL",
    "docker": "needs a Docker daemon",
    "pulumi": "needs an AWS account; tests/deploy runs the program against mocks",
    "aws": "needs an AWS account",
    "kubernetes": "needs a cluster; tests/deploy holds the manifests against their schema and the code",
    "cargo": "needs cargo; CI runs it if it is there",
    "own-data": "names files that only the reader has",
    "drivers": "installs packages; `make test-drivers` does",
    "keys": "names files that only the reader has, and listens beyond this machine",
    "long": "takes minutes to hours",
}
PROJECTIONS = ROOT / "docs/projections.md"
OPENSEARCH = "http://127.0.0.1:9200"
FRESH = "postgresql://localhost/fresh"
WALLET = ":8700/"
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'read.licence'::regclass AND attnum > 0"
GENERATIONS = "SELECT array_agg(state) FROM projection.generation WHERE projection = 'licence'"


def runnable(page: Path) -> list[Block]:
    return [one for one in blocks(page) if one.info[:1] in (("sh",), ("python",)) and one.not_tested is None]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page) and page != PROJECTIONS], ids=name_of)
def test_commands_of_page_succeed(
    page: Path, database: str, empty_database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    needs_node = any(one.info == ("sh", "opensearch") for one in runnable(page))
    if needs_node:
        request.getfixturevalue("opensearch")  # keeps other tests off the node, and clears what the page makes
    node = request.getfixturevalue("opensearch_url") if needs_node else OPENSEARCH
    _run_page(page, database, tmp_path, {OPENSEARCH: node, FRESH: empty_database})


def test_projections_page_builds_the_read_model_it_describes(database: str, tmp_path: Path) -> None:
    _run_page(PROJECTIONS, database, tmp_path, {})
    with connect(database) as connection:
        rows = connection.execute("SELECT source_document, licence_id, status, county FROM read.licence").fetchall()
        register = connection.execute(
            "SELECT source_document, licence_id, status, county FROM read.licence_register"
        ).fetchall()
        columns = {name for (name,) in connection.execute(COLUMNS)}
        states = connection.execute(GENERATIONS).fetchone()
    assert sorted(rows) == sorted(register)
    assert len(rows) > 10
    assert not columns & {"street", "postcode", "first_name", "last_name", "events"}
    assert states == (["live"],)


def test_readme_shows_what_the_demo_and_its_query_print(database: str, tmp_path: Path) -> None:
    (shown,) = (one.text for one in blocks(ROOT / "README.md") if one.info == ("console",))
    command, _, answer = shown.partition("\n")
    environment = _environment(database, tmp_path)
    suggested = _run(["strandline demo"], environment)
    assert command.removeprefix("$ .venv/bin/").replace("LIMIT 5", "LIMIT 10") in suggested
    printed = _run([command.removeprefix("$ .venv/bin/")], environment)
    *table, count = _words(answer)  # as a terminal shows it; a pipe has the table alone
    assert _words(printed) == table
    assert count == [str(len(table) - 1), "rows"]


def _words(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := line.replace("─", "").split())]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_commands_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        assert block.not_tested is None or block.not_tested in NOT_TESTED
        if block.info[:1] not in (("sh",), ("python",)):
            assert not re.search(r"^(strandline|make|python|pip|\.venv/bin/\w+) ", block.text, re.MULTILINE)
    assert not re.search(r"\n\n    \w", prose(page)), "commands are in fenced blocks"


def test_every_reason_is_used() -> None:
    assert {one.not_tested for page in PAGES for one in blocks(page)} - {None} == NOT_TESTED.keys()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_in_text_exist(page: Path) -> None:
    for text in commands(page):
        words = text.split()[1:]
        command = get_command(app)
        while words and (found := getattr(command, "commands", {}).get(words[0])):
            command = found
            words = words[1:]
        is_group = hasattr(command, "commands")
        assert not is_group or not words or words[0] == "COMMAND" or words[0].startswith("-"), text
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for word in words:
            if re.fullmatch(r"\[?--?[a-z][a-z-]*\]?", word):
                assert word.strip("[]") in {*options, "--help"}, text


def _run_page(page: Path, database: str, folder: Path, here: dict[str, str]) -> None:
    """Run the page's commands in order; `here` has, for addresses that the page names, those to use in their place."""
    environment = _environment(database, folder)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    here = {**here, WALLET: f":{port}/"}
    begin = [f"cd {folder}", f"ln -sfn {ROOT / 'docs'} docs", "set -euo pipefail"]
    script = [*begin]
    with ExitStack() as servers:
        for block in runnable(page):
            if block.info == ("sh", "server"):
                _run(script, environment)
                script = [*begin]
                command = f"{block.text.strip()} --listen 127.0.0.1:{port}"
                servers.enter_context(_serving(command, environment, folder))
            elif block.info == ("python",):
                script.append(f"python - <<'PROGRAM'\n{block.text}PROGRAM")
            elif block.info[0] == "python":
                script.append(f"mkdir -p {Path(block.info[1]).parent}")
                script.append(f"cat > {block.info[1]} <<'PROGRAM'\n{block.text}PROGRAM")
            else:
                script.append(reduce(lambda text, name: text.replace(name, here[name]), here, block.text))
        _run(script, environment)


def _environment(database: str, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STRANDLINE_DATABASE_URL": database,
        "STRANDLINE_HOME": str(folder / "home"),
        "HOME": str(folder),
    }


@contextmanager
def _serving(command: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a server from its first line, "Serving …", to its orderly end."""
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


def _run(script: list[str], environment: dict[str, str]) -> str:
    """Run all in one shell, so that a variable of one block is there in the next. Returns what it printed."""
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout
