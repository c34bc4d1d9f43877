"""Emulators for the tests of the worker, and a simulated journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strandline.journal.decode.stream import UserRecord
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.consumer.worker.live import Cloud
from tests.emulators import Emulators, emulators

BLOCKS = 300


@pytest.fixture(scope="session")
def emulated() -> Iterator[Emulators]:
    with emulators() as running:
        yield running


@pytest.fixture
def cloud(emulated: Emulators) -> Iterator[Cloud]:
    made = Cloud(emulated)
    yield made
    made.delete()


@pytest.fixture(scope="session")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated journal of BLOCKS blocks: `full/`, `stream/` and the rest."""
    folder = tmp_path_factory.mktemp("journal") / "simulated"
    simulate(folder, BLOCKS, 7, Format.ION_BINARY)
    return folder


@pytest.fixture(scope="session")
def streamed(journal: Path) -> list[UserRecord]:
    """Its user records as QLDB streamed them: out of order, some twice."""
    from strandline.ledger.publish.kinesis import archived

    return list(archived(journal / "stream"))
