"""Ctrl-C in long commands, as a terminal sends it: to every process of the command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from strandline.cli import main
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("journal") / "made"
    simulate(folder, 120, 7, Format.ION_BINARY)
    return str(folder / "full")


def interrupted(number: int, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Send the signal while the command works. Returns its status, stdout and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.gated", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


# Plain Python, so that processes decode: Ctrl-C reaches them too.
@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("replay", "What was ingested is stored. Run the command again to resume."),
        ("verify", "Nothing was changed."),
        ("simulate", "The folder is incomplete: delete it, then run the command again."),
    ],
)
def test_ctrl_c_ends_a_command_between_steps_with_130_and_advice(
    command: str, advice: str, export: str, database: str, tmp_path: Path
) -> None:
    source = str(tmp_path / "made") if command == "simulate" else export
    status, out, err = interrupted(
        signal.SIGINT, command, source, STRANDLINE_DATABASE_URL=database, STRANDLINE_KERNEL="python"
    )
    assert (status, out) == (130, "")
    assert err == (
        "\nStopping after the current step; press Ctrl-C again to stop at once.\n"
        f"error: Interrupted. {err.partition('Interrupted. ')[2]}"
    )
    assert advice in err


def test_ctrl_c_in_a_rebuild_leaves_the_served_generation(
    export: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    assert main(["replay", export, "--json"]) == 0
    serving = "SELECT generation FROM projection.generation WHERE projection = 'licence_register' AND state = 'live'"
    with psycopg.connect(database, autocommit=True) as connection:
        before = connection.execute(serving).fetchall()
        status, out, err = interrupted(
            signal.SIGINT, "rebuild", "licence_register", "--json", STRANDLINE_DATABASE_URL=database
        )
        assert connection.execute(serving).fetchall() == before
    text = "Interrupted. The current generation stays in service. Run the command again to resume."
    assert (status, json.loads(out)) == (130, {"error": {"message": text, "status": 130}})
    assert "Traceback" not in err
    assert main(["rebuild", "licence_register", "--json"]) == 0


def test_sigterm_ends_a_command_between_steps_with_143(export: str, database: str) -> None:
    status, _, err = interrupted(signal.SIGTERM, "replay", export, STRANDLINE_DATABASE_URL=database)
    assert status == 143
    assert "Traceback" not in err
