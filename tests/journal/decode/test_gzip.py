"""Compressed objects, recognised by their content; a gzip bomb is refused."""

import gzip

import pytest

from strandline.journal.decode.gzip import decompress
from strandline.journal.errors import UnreadableError

# A fixed mtime: the test's name holds these bytes, and all processes of a parallel run must collect the same names.
_WHOLE = gzip.compress(b"x" * 1000, mtime=0)
_DAMAGED = [
    _WHOLE[:-9], _WHOLE[:5], b"\x1f\x8bnothing", _WHOLE[:-8] + bytes(4) + _WHOLE[-4:], _WHOLE + b"two",
]  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"plain", b"\xe0\x01\x00\xea"])
def test_uncompressed_data_is_returned_unchanged(data: bytes) -> None:
    assert decompress(data) == data


def test_several_members_are_concatenated() -> None:
    assert decompress(gzip.compress(b"one") + gzip.compress(b"two") + b"\0\0") == b"onetwo"


@pytest.mark.parametrize("data", _DAMAGED, ids=["truncated", "header only", "no header", "checksum", "trailing bytes"])
def test_damaged_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError, match="gzip"):
        decompress(data)


def test_bomb_is_refused() -> None:
    with pytest.raises(UnreadableError, match="more than 1,000 bytes"):
        decompress(gzip.compress(bytes(1001)), most=1000)
    assert decompress(gzip.compress(bytes(1000)), most=1000) == bytes(1000)


def test_large_object_is_refused() -> None:
    with pytest.raises(UnreadableError, match="more than 1,000 bytes"):
        decompress(bytes(1001), most=1000)


def test_bomb_is_not_decompressed_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(1 << 20)) * 512
    with pytest.raises(UnreadableError, match="split the object"):
        decompress(bomb)
