"""Mutated journals through both kernels (tests/native/fuzz.py): the same rows or the same faults, no panic."""

import sys
import time
from itertools import count

from tests.native import fuzz
from tests.soak.outcome import Outcome

INPUTS = 500  # between two looks at the time


def kernels(seconds: float, seed: int) -> Outcome:
    """Read inputs, seed after seed. Raises with the bytes of the first input on which the kernels differ."""
    deadline, done = time.monotonic() + seconds, 0
    for own in count(seed):
        fuzz.fuzz(INPUTS, own)
        done += INPUTS
        if time.monotonic() > deadline:
            break
    sys.stderr.write(f"kernels: {done} inputs\n")
    return Outcome()
