"""`replay` and projectors, killed by SIGKILL twenty times: what they leave, begun again, is what one run leaves."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.databases import migrated_database
from tests.faults import kills

BLOCKS = 900
RUNS, KILLS = 2, 5  # of each kind


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "journal"
    simulate(folder, BLOCKS, 11, Format.ION_BINARY)
    return folder / "full"


@pytest.fixture(scope="module")
def undisturbed(postgres_url: str, migrated_template: str, journal: Path) -> Iterator[tuple[kills.Contents, float]]:
    """The result of one run, and its seconds."""
    with migrated_database(postgres_url, migrated_template) as url:
        seconds = kills.seconds_of([*kills.REPLAY, str(journal)], url)
        yield kills.contents(url), seconds


@pytest.mark.parametrize("seed", range(RUNS))
def test_replay_killed_anywhere(
    database: str, journal: Path, undisturbed: tuple[kills.Contents, float], seed: int
) -> None:
    random = Random(seed)
    command = [*kills.REPLAY, str(journal)]
    at_work = kills.kill_often(command, database, random, undisturbed[1], KILLS)
    kills.run(command, database)
    assert kills.contents(database) == undisturbed[0]
    assert any(at_work)


@pytest.mark.parametrize("seed", range(RUNS))
def test_projectors_killed_anywhere(
    database: str, journal: Path, undisturbed: tuple[kills.Contents, float], seed: int
) -> None:
    kills.take_in_whole(database, journal)
    random = Random(seed)
    at_work = kills.kill_often(kills.PROJECTING, database, random, undisturbed[1], KILLS)
    kills.run(kills.PROJECTING, database)
    assert kills.contents(database) == undisturbed[0]
    assert any(at_work)
