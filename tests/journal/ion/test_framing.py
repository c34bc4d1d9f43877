import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from strandline.journal.errors import UnreadableError
from strandline.journal.ion import values as ion
from strandline.journal.ion.framing import MOST_TABLES, _walk, check_shape, scan, without_values

WHOLE = ion.write({"value": [1, 1.5, "text", b"blob", {"a": None}, next(ion.read_typed(b"a::b::(true)"))]})
BETWEEN_VALUES = (4, WHOLE.index(b"\xde", 10))  # behind the version marker, behind the symbol table


def test_ion_of_library_passes() -> None:
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
def test_damaged_ion_is_refused(data: str) -> None:
    with pytest.raises(UnreadableError):
        check_shape(bytes.fromhex(data))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(UnreadableError, match="nested"):
        check_shape(b"\xe0\x01\x00\xea" + b"".join(b"\xbe" + _length(3 * n) for n in reversed(range(600))))


def _length(number: int) -> bytes:
    return bytes([number >> 7, number & 0x7F | 0x80])


@given(st.integers(0, len(WHOLE) - 1))
def test_truncated_ion_is_refused_within_values(length: int) -> None:
    assume(length not in BETWEEN_VALUES)

    with pytest.raises(UnreadableError):
        check_shape(WHOLE[:length])


VALUES = [
    b"\x0f",
    b"\x11",
    b"\x21\x05",
    b"\x8e\x80",
    b"\x8e\x00\x80",
    b"\x8e\x84text",
    b"\xae\x01\xac" + bytes(172),
    b"\x44" + bytes(4),
]
VALUES += [
    b"\x12",
    b"\x3e\x00\x00\x81\x01",
    b"\x42\x00\x00",
    b"\xe4\x81\x85\x21\x01",
    b"\xe3\x80\x21\x01",
    b"\xf0",
    b"\x8e",
    b"\xbf",
]


def _containers(members: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    lists = st.tuples(st.sampled_from([0xB0, 0xC0]), st.lists(members, max_size=4).map(b"".join))
    fields = st.tuples(st.sampled_from([b"\x84", b"\x01\x84", b"\x00\x80"]), members).map(b"".join)
    structs = st.tuples(st.just(0xD0), st.lists(fields, max_size=4).map(b"".join))
    return st.tuples(lists | structs, st.integers(0, 3), st.integers(-1, 1)).map(_container)


def _container(given: tuple[tuple[int, bytes], int, int]) -> bytes:
    (kind, body), length_bytes, wrong = given
    length = max(0, len(body) + wrong)
    if not length_bytes and length < 14:
        return bytes([kind | length]) + body
    return (
        bytes([kind | 14])
        + bytes(max(0, length_bytes - 1))
        + (_length(length) if length > 127 else bytes([length | 0x80]))
        + body
    )


@given(st.lists(_containers(st.recursive(st.sampled_from(VALUES), _containers, max_leaves=8)), max_size=3))
def test_sound_length_agrees_with_full_check(values: list[bytes]) -> None:
    data = WHOLE[:4] + b"".join(values)
    sound = scan(data).sound

    assert passes(data[:sound])
    assert (sound == len(data)) == passes(data)


def passes(data: bytes) -> bool:
    try:
        _walk(data)
    except (UnreadableError, IndexError):
        return False
    except UnicodeDecodeError:  # which is looked at in symbol tables only
        reject()
    return True


def test_symbol_tables_still_apply_without_the_values_before() -> None:
    table, appended = "e7 8183 d4 87b28161 ", "ea 8183 d7 867103 87b28162 "
    data = bytes.fromhex("e00100ea" + table + "d38a2101" + appended + "0f" + "01ff" + "d38b2102" + "e00100ea" + "11")
    values = list(ion.read(data))
    assert values == [{"a": 1}, None, {"b": 2}, True]

    for count in range(5):
        rest = without_values(data, count)
        assert rest is not None
        assert list(ion.read(rest)) == values[count:]


def test_large_symbol_tables_are_not_read_again() -> None:
    data = ion.write({"x" * MOST_TABLES: 1})

    assert without_values(data, 0) is not None
    assert without_values(data, 1) is None
