"""The output of `make soak`, and that no finding of a long test is lost."""

import pytest

from tests.soak.__main__ import soak
from tests.soak.outcome import Outcome, compared

EXPECTED = {"block": [(0,), (1,), (1,)], "revision": [("a",)]}


def said(captured: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = captured.readouterr()
    return out, err


def test_outcomes_are_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    shares: dict[str, tuple[float, int]] = {}

    def one(seconds: float, seed: int) -> Outcome:
        shares["one"] = seconds, seed
        return Outcome(kills=3, recovered=3)

    def two(seconds: float, seed: int) -> Outcome:
        shares["two"] = seconds, seed
        return Outcome(kills=2, recovered=2)

    assert soak({"one": one, "two": two}, 10, 1) == 0
    assert said(capsys)[0] == "kills 5, lost 0, duplicated 0, resurrected 0, recovered 5\n"
    assert shares["one"][0] <= 5 < shares["two"][0] <= 10  # what the first did not need is the second's
    first = dict(shares)
    assert soak({"two": two}, 10, 1) == 0
    assert shares["two"][1] == first["two"][1] != first["one"][1]


@pytest.mark.parametrize("found", [Outcome(lost=1), Outcome(duplicated=1), Outcome(resurrected=1)])
def test_bad_outcome_fails(found: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak({"good": lambda _, __: Outcome(), "bad": lambda _, __: found}, 0, 7) == 1
    out, err = said(capsys)
    assert out == f"{found}\n"
    assert "failed: bad; again with: make soak ONLY=bad SEED=7" in err


def test_raising_test_fails_and_the_others_run(capsys: pytest.CaptureFixture[str]) -> None:
    def bad(seconds: float, seed: int) -> Outcome:
        raise AssertionError("what it was")

    assert soak({"bad": bad, "good": lambda _, __: Outcome(kills=1, recovered=1)}, 0, 7) == 1
    out, err = said(capsys)
    assert out == "kills 1, lost 0, duplicated 0, resurrected 0, recovered 1\n"
    assert "what it was" in err
    assert "failed: bad; again with: make soak ONLY=bad SEED=7" in err


def test_rows_are_compared_one_by_one() -> None:
    assert compared(EXPECTED, EXPECTED, kills=4) == Outcome(kills=4, recovered=4)
    assert compared(EXPECTED, {**EXPECTED, "block": [(0,), (1,)]}, kills=4) == Outcome(kills=4, lost=1)
    assert compared(EXPECTED, {**EXPECTED, "block": [(0,), (0,), (1,), (1,)]}, kills=4) == Outcome(4, duplicated=1)
    assert compared(EXPECTED, {**EXPECTED, "more": [(1,)]}, kills=4) == Outcome(4, duplicated=1)
    assert compared(EXPECTED, EXPECTED, kills=4, resurrected=2) == Outcome(4, resurrected=2)
