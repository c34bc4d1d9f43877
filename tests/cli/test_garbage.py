"""Garbage collection of commands, and of the processes that decode for them."""

import gc

from strandline.cli import main
from strandline.consumer.intake.decoding import executor

RARELY = 50_000


def test_a_command_collects_rarely() -> None:
    assert gc.get_threshold()[0] < RARELY
    assert main(["url", "--help"]) == 0
    assert gc.get_threshold()[0] == RARELY


def test_a_decoding_process_collects_rarely() -> None:
    with executor(2) as pool:
        assert pool.submit(gc.get_threshold).result()[0] == RARELY
