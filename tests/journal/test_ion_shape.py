import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from journal import ion
from journal.errors import UnreadableError
from journal.ion_shape import check_shape

WHOLE = ion.write({"value": [1, 1.5, "text", b"blob", {"a": None}, next(ion.read_typed(b"a::b::(true)"))]})
BETWEEN_VALUES = (4, WHOLE.index(b"\xde", 10))  # behind the version marker, behind the symbol table


def test_what_amazon_ion_writes_is_whole() -> None:
    check_shape(WHOLE)
    check_shape(WHOLE + WHOLE)
    check_shape(ion.write("x" * 20_000))


@pytest.mark.parametrize(
    "data",
    [
        "e00100ea eb8183d887b6c4 76616c7565 d28ac0",  # amazon.ion loops for ever
        "e00100ea eb8183d887b62976616c7565 d28ac0",  # and here
        "e00100ea eb8183d887b68576616c75f7 d28ab0",  # and crashes here
        "e00100ea b6",
        "e00100ea 4200ff",
        "e00100ea 12",
        "e00100ea f0",
        "e00100ea e3 81 84 e0",
        "e00100ea e3 80 21 01",
        "e00100ea d2 84",
        "e00100ea 8e 00 00 00 00 00 00 00 00 00 00",
        "",
        "7b7d",
    ],
)
def test_what_is_not_whole_is_refused(data: str) -> None:
    with pytest.raises(UnreadableError):
        check_shape(bytes.fromhex(data))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(UnreadableError, match="nested"):
        check_shape(b"\xe0\x01\x00\xea" + b"".join(b"\xbe" + _length(3 * n) for n in reversed(range(600))))


def _length(number: int) -> bytes:
    return bytes([number >> 7, number & 0x7F | 0x80])


@given(st.integers(0, len(WHOLE) - 1))
def test_a_part_is_not_whole_unless_it_ends_between_values(length: int) -> None:
    assume(length not in BETWEEN_VALUES)

    with pytest.raises(UnreadableError):
        check_shape(WHOLE[:length])
