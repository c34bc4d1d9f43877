"""The outcome of a long test."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """`kills` met a process at work. Rows: `lost` are missing in the end, `duplicated` are there more often than they
    should be, or should not be there. `resurrected` counts what a redaction had erased and is back. `recovered` counts
    the kills after which all was, in the end, as if there had been none."""

    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    resurrected: int = 0
    recovered: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"kills {self.kills}, lost {self.lost}, duplicated {self.duplicated}, resurrected {self.resurrected}, "
            f"recovered {self.recovered}"
        )

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.resurrected)


Contents = Mapping[str, Iterable[Any]]
"""Rows by table, as tests.faults.kills.contents gives them."""


def compared(expected: Contents, found: Contents, *, kills: int, resurrected: int = 0) -> Outcome:
    """Compare what some kills left with what an undisturbed run leaves."""
    lost = duplicated = 0
    for table in {*expected, *found}:
        should, does = Counter(expected.get(table, ())), Counter(found.get(table, ()))
        lost += (should - does).total()
        duplicated += (does - should).total()
    good = not (lost or duplicated or resurrected)
    return Outcome(kills, lost, duplicated, resurrected, recovered=kills if good else 0)
