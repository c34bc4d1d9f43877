"""The long tests, by name."""

from collections.abc import Callable
from importlib.util import find_spec

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

if find_spec("strandline_native") is not None:  # built by `make native`; without it there are no two kernels
    from tests.soak.kernels import kernels

    LONG_TESTS["kernels"] = kernels
