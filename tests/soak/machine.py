"""The state machine of tests/faults, on random histories."""

import time
from random import Random

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.erasing import ErasingMachine
from tests.soak.outcome import Outcome
from tests.soak.server import server

HISTORIES = 10  # of each seed


def state_machine(seconds: float, seed: int) -> Outcome:
    """Histories of deliveries, crashes, parking, redactions and expunging; raises for the first that ends wrongly."""
    random, deadline = Random(seed), time.monotonic() + seconds
    how = settings(
        max_examples=HISTORIES,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    with server() as where:

        class Here(ErasingMachine):
            server, template = where

        while True:
            run_state_machine_as_test(hypothesis.seed(random.getrandbits(64))(Here), settings=how)
            if time.monotonic() > deadline:
                return Outcome()
