"""Prefetching: order, how far ahead, and what ends with the caller."""

import threading
from collections.abc import Iterator

import pytest

from strandline.consumer.projector import prefetch as module
from strandline.consumer.projector.prefetch import prefetch


def wait_silently() -> None:
    """Wait without a sign of life."""


class Numbers:
    """Counts what is made of it, and whether it was closed."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.made = 0
        self.closed = False
        self.reached = threading.Semaphore(0)
        self._fails_at = fails_at

    def items(self) -> Iterator[int]:
        try:
            for number in range(10):
                if number == self._fails_at:
                    raise ValueError("it fails")
                self.made += 1
                self.reached.release()
                yield number
        finally:
            self.closed = True


def test_items_come_in_order_and_the_generator_is_closed() -> None:
    numbers = Numbers()
    with prefetch(numbers.items(), 2, wait_silently) as items:
        assert list(items) == list(range(10))
    assert numbers.closed


def test_items_are_made_ahead_but_not_further() -> None:
    numbers = Numbers()
    with prefetch(numbers.items(), 2, wait_silently) as items:
        assert next(items) == 0
        for _ in range(3):
            assert numbers.reached.acquire(timeout=10)
        assert not numbers.reached.acquire(blocking=False)
        assert numbers.made == 3
        assert not numbers.closed
    assert numbers.closed


def test_failure_reaches_the_caller_after_the_items_before_it() -> None:
    numbers = Numbers(fails_at=3)
    found: list[int] = []
    with prefetch(numbers.items(), 2, wait_silently) as items, pytest.raises(ValueError, match="it fails"):
        found.extend(items)
    assert found == [0, 1, 2]


def test_failure_of_the_caller_ends_the_generator() -> None:
    numbers = Numbers()

    def fail() -> None:
        with prefetch(numbers.items(), 2, wait_silently) as items:
            next(items)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numbers.closed
    assert numbers.made <= 3


def test_waiting_shows_life_and_may_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_SECONDS", 0.01)
    may_go_on = threading.Event()
    signs = 0

    def items() -> Iterator[int]:
        may_go_on.wait(10)
        yield 1

    def show_life() -> None:
        nonlocal signs
        signs += 1
        if signs == 3:
            may_go_on.set()
            raise KeyError

    with pytest.raises(KeyError), prefetch(items(), 1, show_life) as found:
        next(found)
    assert signs == 3
