"""Hypothesis strategies for documents over all Ion types, and a revision of them as a JSON export shows it."""

import string
from decimal import Decimal
from typing import Any

from amazon.ion.core import IonType
from amazon.ion.simple_types import IonPyBytes, IonPyList, IonPyNull
from amazon.ion.symbols import SymbolToken
from hypothesis import strategies as st

from strandline.journal.ion.values import read_one

NAMES = st.text(string.ascii_letters, min_size=1, max_size=6)
TEXTS = st.text(max_size=20)
NULL_TYPES = [one for one in IonType if one is not IonType.NULL]


def _timestamp(parts: tuple[int, ...], form: str, fraction: str) -> Any:
    year, month, day, hour, minute, second = parts
    texts = {
        "year": f"{year:04d}T",
        "month": f"{year:04d}-{month:02d}T",
        "day": f"{year:04d}-{month:02d}-{day:02d}",
        "minute": f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}-00:00",
        "second": f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}+05:30",
        "fraction": f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{fraction}Z",
    }
    return read_one(texts[form].encode())


TIMESTAMPS = st.builds(
    _timestamp,
    st.tuples(
        st.integers(1900, 2100), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23), st.integers(0, 59),
        st.integers(0, 59),
    ),
    st.sampled_from(["year", "month", "day", "minute", "second", "fraction"]),
    st.text(string.digits, min_size=1, max_size=9),
)  # fmt: skip
DECIMALS = st.builds(lambda digits, exponent: Decimal((digits < 0, tuple(map(int, str(abs(digits)))), exponent)),
                     st.integers(-(10**12), 10**12), st.integers(-6, 4))  # fmt: skip
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "null of a type": st.sampled_from(NULL_TYPES).map(lambda kind: IonPyNull.from_value(kind, None)),
    "bool": st.booleans(),
    "int": st.integers(-(2**70), 2**70),
    "decimal": DECIMALS,
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "nan or infinity": st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    "timestamp": TIMESTAMPS,
    "string": TEXTS,
    "symbol": TEXTS.map(lambda text: SymbolToken(text, None)),
    "blob": st.binary(max_size=40),
    "clob": st.binary(max_size=20).map(lambda data: IonPyBytes.from_value(IonType.CLOB, data)),
}
PLAIN = ("null", "bool", "int", "decimal", "timestamp", "string")


def documents(
    names: tuple[str, ...] = tuple(SCALARS), depth: int = 4, width: int = 4, *, sexps: bool = True
) -> st.SearchStrategy[Any]:
    """Return documents with scalars of these types, in structs, lists and s-expressions down to a depth."""
    scalars = st.one_of([SCALARS[name] for name in names])
    members = scalars
    for _ in range(depth - 1):
        lists = st.lists(members, max_size=width)
        containers = [st.dictionaries(NAMES, members, max_size=width), lists]
        if sexps:
            containers.append(lists.map(lambda items: IonPyList.from_value(IonType.SEXP, items)))
        members = st.one_of(scalars, *containers)
    return st.dictionaries(NAMES, members, max_size=width)
