"""kill -9 of `replay` and of projectors: in each round, a journal of random size, five kills, and a comparison."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.databases import migrated_database
from tests.faults import kills
from tests.soak.outcome import Outcome, compared
from tests.soak.redacted_strings import redacted_strings, resurrected
from tests.soak.server import Server, server

# Forms of a journal: the last export, exports before and after later redactions, streamed records.
SOURCES = (["full"], ["early", "late"], ["stream"], ["early", "stream"], ["stream", "full"])


def replay(seconds: float, seed: int) -> Outcome:
    """Kill `replay`, from every kind of source."""
    return _rounds(seconds, seed, projecting=False)


def projectors(seconds: float, seed: int) -> Outcome:
    """Kill projectors that have a complete journal to project."""
    return _rounds(seconds, seed, projecting=True)


def _rounds(seconds: float, seed: int, *, projecting: bool) -> Outcome:
    random, deadline, outcome = Random(seed), time.monotonic() + seconds, Outcome()
    with server() as where:
        while outcome == Outcome() or time.monotonic() < deadline:
            with tempfile.TemporaryDirectory(prefix="strandline-soak-") as folder:
                outcome += _round(where, Path(folder) / "journal", random, projecting=projecting)
    return outcome


def _round(where: Server, journal: Path, random: Random, *, projecting: bool) -> Outcome:
    format = random.choice((Format.ION_BINARY, Format.ION_TEXT))
    simulate(journal, random.randint(300, 1500), random.getrandbits(32), format)
    sources = [str(journal / name) for name in random.choice(SOURCES)]
    command_line = [*kills.REPLAY, *sources]
    with migrated_database(*where) as url:
        seconds = kills.seconds_of(command_line, url)
        expected = kills.contents(url)
    command = kills.PROJECTING if projecting else command_line
    with migrated_database(*where) as url:
        if projecting:
            kills.take_in_whole(url, *map(Path, sources))
        met = _kill(command, url, random, seconds)
        kills.run(command, url)
        return compared(
            expected, kills.contents(url), kills=met, resurrected=resurrected(url, redacted_strings(journal))
        )


def _kill(command: Sequence[str], url: str, random: Random, seconds: float) -> int:
    return sum(kills.kill_somewhere(command, url, random, seconds) for _ in range(5))
