"""The long tests, by name."""

from collections.abc import Callable

from tests.soak.fuzz import fuzz
from tests.soak.kills import projectors, replay
from tests.soak.ledger import ledger
from tests.soak.machine import state_machine
from tests.soak.outcome import Outcome
from tests.soak.rebuilds import rebuilds
from tests.soak.redaction import redaction
from tests.soak.worker import worker

LongTest = Callable[[float, int], Outcome]

LONG_TESTS: dict[str, LongTest] = {
    "replay": replay,
    "projectors": projectors,
    "rebuilds": rebuilds,
    "state-machine": state_machine,
    "redaction": redaction,
    "worker": worker,
    "fuzz": fuzz,
    "ledger": ledger,
}
