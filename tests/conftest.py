"""A PostgreSQL for the tests, which all of pytest's workers share (tests/databases.py says which)."""

import gc
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from strandline.cli import main
from strandline.consumer.logging import start_logging
from tests import databases
from tests.commands import Outcome, Run

HOME = "STRANDLINE_TEST_HOME"
SERVERS = {"postgres": "postgres_url", "opensearch": "opensearch_url"}  # marks, and the fixture that starts each
pytest_plugins = ["tests.opensearch.node"]

# The same examples in every run, so that a failure is one of the change at hand; other seeds are for longer runs. No
# example has to be done in a time.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the shared server's home before the workers start: they inherit the environment.

    Not below pytest's own folder for temporary files, which each new run closes to the server's user.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a script, or by nohup: commands would inherit that, and never end by Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        os.environ["STRANDLINE_LINGER_SECONDS"] = "0"  # no server outlives a test
        os.environ[HOME] = tempfile.mkdtemp(prefix="strandline-test-")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers that its fixtures start: `-m "not postgres and not opensearch"` is quick."""
    for item in items:
        for mark, fixture in SERVERS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(HOME), ignore_errors=True)


@pytest.fixture(autouse=True)
def process_of_each_test() -> Iterator[None]:
    """Undo what a command set up in this process.

    It logs to a stream that its test has closed, and garbage that is found late is reported in another test.
    """
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__ == start_logging.__module__]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server's maintenance database, as a superuser."""
    with databases.postgres(Path(os.environ[HOME])) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """Name of a migrated database to copy, this worker's own."""
    with databases.migrated_template(postgres_url) as name:
        yield name


@pytest.fixture
def database(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a fresh, migrated database, as a superuser."""
    with databases.migrated_database(postgres_url, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """URL of a fresh database with nothing in it, as a superuser (the roles may exist: they are the server's)."""
    with databases.temporary_database(postgres_url) as (_, url):
        yield url


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against a fresh database."""
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = main(arguments)
        return Outcome(status, *capsys.readouterr())

    return run
