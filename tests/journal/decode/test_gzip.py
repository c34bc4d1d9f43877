"""Compressed objects, told by their content; a small one that would fill the memory is refused."""

import gzip

import pytest

from strandline.journal.decode.gzip import decompressed
from strandline.journal.errors import UnreadableError

# mtime fixed: a test's name holds its bytes, and every process of a parallel run must collect the same names
_CUT_IN_THE_MIDDLE = gzip.compress(b"x" * 1000, mtime=0)[:-9]
_CUT_IN_THE_HEADER = gzip.compress(b"x", mtime=0)[:5]


@pytest.mark.parametrize("data", [b"", b"plain", b"\xe0\x01\x00\xea"])
def test_what_is_not_compressed_stays(data: bytes) -> None:
    assert decompressed(data) == data


def test_one_member_or_several() -> None:
    assert decompressed(gzip.compress(b"one") + gzip.compress(b"two") + b"\0\0") == b"onetwo"


@pytest.mark.parametrize("data", [_CUT_IN_THE_MIDDLE, _CUT_IN_THE_HEADER, b"\x1f\x8bnothing"])
def test_what_is_cut_short_or_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError, match="gzip"):
        decompressed(data)


def test_bytes_after_it_are_not_passed_over() -> None:
    with pytest.raises(UnreadableError, match="other bytes"):
        decompressed(gzip.compress(b"one") + b"two")


def test_a_bomb_is_refused_before_it_is_wholly_decompressed() -> None:
    with pytest.raises(UnreadableError, match="more than 1,000 bytes"):
        decompressed(gzip.compress(bytes(1001)), most=1000)
    assert decompressed(gzip.compress(bytes(1000)), most=1000) == bytes(1000)
