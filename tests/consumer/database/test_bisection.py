"""Finding the items that make a batch fail."""

from collections.abc import Sequence

import pytest

from strandline.consumer.database.bisection import attempt_all


class Divisions:
    """Divides 12 by each item, and remembers the batches that it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        return [12 // item for item in items]


def refused(item: int, error: Exception) -> int:
    assert type(error) is ZeroDivisionError
    return -1


def test_batch_without_a_fault_runs_once() -> None:
    divide = Divisions()
    assert attempt_all([1, 2, 3], divide, refused, ZeroDivisionError) == [12, 6, 4]
    assert divide.batches == [[1, 2, 3]]


def test_only_items_to_blame_are_refused_in_order() -> None:
    assert attempt_all([1, 0, 2, 3, 0], Divisions(), refused, ZeroDivisionError) == [12, -1, 6, 4, -1]


def test_halves_are_tried_before_single_items() -> None:
    divide = Divisions()
    attempt_all([1, 2, 3, 0], divide, refused, ZeroDivisionError)
    assert divide.batches == [[1, 2, 3, 0], [1, 2], [3, 0], [3], [0]]


def test_other_errors_end_the_attempt() -> None:
    with pytest.raises(ZeroDivisionError):
        attempt_all([1, 0], Divisions(), refused, ValueError)


def test_empty_sequence_is_no_batch() -> None:
    divide = Divisions()
    assert attempt_all([], divide, refused, ZeroDivisionError) == []
    assert divide.batches == []
