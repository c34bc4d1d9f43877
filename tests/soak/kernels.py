"""Mutated journals through both kernels (tests/native/fuzz.py): the same rows or the same faults, never a panic."""

import sys
import time
from itertools import count

from tests.native import fuzz
from tests.soak.outcome import Outcome

INPUTS = 500  # between two looks at the time


def kernels(seconds: float, seed: int) -> Outcome:
    """Inputs, seed after seed; raises for the first of which the kernels do not say the same, with its bytes."""
    deadline, done = time.monotonic() + seconds, 0
    for own in count(seed):
        fuzz.fuzz(INPUTS, own)
        done += INPUTS
        if time.monotonic() > deadline:
            break
    sys.stderr.write(f"kernels: {done} inputs\n")
    return Outcome()
