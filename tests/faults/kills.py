"""Real processes killed by SIGKILL at random points, begun again, and what is left at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import psycopg
from psycopg.sql import SQL, Identifier

from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.settings import load_settings
from strandline.journal.sources.source import local_sources

PROJECTING = [sys.executable, "-m", "tests.faults.projecting"]
REPLAY = [sys.executable, "-m", "strandline.cli", "replay", "--json"]
PATIENCE = 120

# Tables, and of each the columns that time and chance do not set. How far the counts by shape have come is chance, too,
# and whoever runs `verify` leaves a record of it. Which redactions are hidden follows from receipts, not the journal.
TABLES = """
    SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relname NOT IN ('shape_count', 'shape_position', 'verification')
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attname !~ '_at$' AND a.attname <> 'hidden'
    GROUP BY c.relname"""
COUNTED = "SELECT t::text FROM journal.table_shape t ORDER BY 1"
GENERATIONS = "SELECT projection, relation, position, state FROM projection.generation ORDER BY projection"
PARKED = """
    SELECT projection, key, version, sequence_no, reason
    FROM projection.parked JOIN projection.generation USING (generation) ORDER BY 1, 2"""
HERE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'strandline%'"""

Contents = dict[str, list[tuple[object, ...]]]


def contents(url: str) -> Contents:
    """Every table of schema journal, and the rows and parked documents of every generation."""
    with psycopg.connect(url, autocommit=True) as connection:
        found: Contents = {}
        for table, columns in connection.execute(TABLES).fetchall():
            chosen = SQL(", ").join(map(Identifier, columns))
            rows = SQL("SELECT t::text FROM (SELECT {} FROM journal.{}) t ORDER BY 1")
            found[table] = connection.execute(rows.format(chosen, Identifier(table))).fetchall()
        found["table_shape"] = connection.execute(COUNTED).fetchall()
        for projection, relation, position, state in connection.execute(GENERATIONS).fetchall():
            rows = SQL("SELECT t::text FROM generation.{} t ORDER BY 1")
            held = connection.execute(rows.format(Identifier(relation))).fetchall()
            found[f"generation of {projection}"] = [(position, state), *held]
        found["parked"] = connection.execute(PARKED).fetchall()
        return found


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "STRANDLINE_DATABASE_URL": url, "STRANDLINE_WORKERS": "2"}


def take_in_whole(url: str, *sources: Path) -> None:
    """Only the store, without read models, so that projectors have all before them."""
    replay_sources(url, [one for source in sources for one in local_sources(str(source))], load_settings())


def run(command: Sequence[str], url: str) -> None:
    """Run it to its end, which must be a good one."""
    done = subprocess.run(command, env=environment(url), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def kill_somewhere(command: Sequence[str], url: str, random: Random, span: float) -> bool:
    """Run it, and kill it within `span` seconds from its first connection; whether it was still at work."""
    process = subprocess.Popen(command, env=environment(url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process:
        deadline = time.monotonic() + PATIENCE
        with psycopg.connect(url, autocommit=True) as watching:
            while watching.execute(HERE).fetchone() == (0,) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        time.sleep(random.uniform(0, span))
        children = []
        with suppress(psutil.Error):
            children = psutil.Process(process.pid).children(recursive=True)
        at_work = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        _, left = psutil.wait_procs(children, timeout=PATIENCE)
        assert not left, "a process outlived the one that had started it"
    return at_work


def kill_often(
    command: Sequence[str],
    url: str,
    random: Random,
    seconds: float,
    times: int,
    then: Callable[[], None] = lambda: None,
) -> list[bool]:
    """Kill it so many times, and call `then` after each; tells which kills met the command at work.

    More follow, sooner ones, if the machine is so fast that none did.
    """
    at_work: list[bool] = []
    while len(at_work) < times or (not any(at_work) and seconds > 0.1):
        if len(at_work) >= times:
            seconds /= 2
        at_work.append(kill_somewhere(command, url, random, seconds))
        then()
    return at_work


def seconds_of(command: Sequence[str], url: str) -> float:
    """Return the seconds of undisturbed work, from its first connection on."""
    process = subprocess.Popen(command, env=environment(url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process, psycopg.connect(url, autocommit=True) as watching:
        while watching.execute(HERE).fetchone() == (0,) and process.poll() is None:
            time.sleep(0.005)
        started = time.monotonic()
        assert process.wait(PATIENCE) == 0, process.stderr.read() if process.stderr else ""
        return time.monotonic() - started
