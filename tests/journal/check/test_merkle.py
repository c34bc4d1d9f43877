from hypothesis import given
from hypothesis import strategies as st

from strandline.journal.check import merkle
from strandline.journal.ion.hash import sha256

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=40)


def test_dot_with_empty_operand_returns_the_other() -> None:
    a = sha256(b"a")

    assert merkle.dot(a, b"") == merkle.dot(b"", a) == a


def test_dot_orders_by_signed_bytes_from_the_last() -> None:
    low, high = bytes(31) + b"\x80", bytes(31) + b"\x7f"  # -128 and 127

    assert merkle.dot(high, low) == merkle.dot(low, high) == sha256(low + high)


def test_odd_last_node_moves_up() -> None:
    a, b, c = (sha256(text) for text in (b"a", b"b", b"c"))

    assert merkle.root([a, b, c]) == merkle.dot(merkle.dot(a, b), c)


def test_no_hashes_have_an_empty_root() -> None:
    assert merkle.root([]) == merkle.Frontier().digest() == b""


@given(HASHES)
def test_frontier_gives_the_root_of_every_prefix(hashes: list[bytes]) -> None:
    frontier = merkle.Frontier()
    for count, leaf in enumerate(hashes, 1):
        frontier.append(leaf)
        assert frontier.digest() == merkle.root(hashes[:count])


@given(HASHES.filter(bool), st.data())
def test_every_path_leads_to_the_root(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))

    assert merkle.fold(hashes[index], merkle.path(hashes, index)) == merkle.root(hashes)


def test_dot_compares_earlier_bytes_as_signed() -> None:
    one, minus_one = bytes(30) + b"\x01\x05", bytes(30) + b"\xff\x05"

    assert merkle.dot(one, minus_one) == merkle.dot(minus_one, one) == sha256(minus_one + one)
