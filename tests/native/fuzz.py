"""Differential fuzzing: both kernels must give the same result for mutated journals and records.

Input that the native kernel hands over cannot differ, and is only counted.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from random import Random

import strandline_native

from strandline.journal.decode import objects, stream
from strandline.journal.decode.kernel import decode_natively, decode_record_natively
from strandline.journal.decode.objects import Decoded
from strandline.journal.decode.record import DecodedRecord, decode_records_of
from tests.journals import ion_binary, ion_text, small_journal
from tests.native.odd_journals import odd_journal

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/AYj8gSIUcxiHijsjEKob30"
VECTORS = Path(__file__).parent.parent / "vectors"
_MOST_MUTATIONS = 4
_FRESH = 50  # inputs that are made from one journal
_INTERESTING = (
    b"\x00\x01\x0b\x0c\x0e\x0f\x7f\x80\x81\x8e\xc0\xd1\xde\xe0\xea\xee\xff {}[]()\"'\\,:.$-+0123456789eEdDTZx_/*n"
)

_TOKENS = (
    b" ", b"\n", b"\r\n", b"\t", b"//x\n", b"/*x*/", b",", b"::", b"a::", b"'a b'::", b"null", b"null.int", b"nan",
    b"+inf", b"true", b"$0", b"$4", b"$10", b"$ion_1_0", b" $ion_1_0 ", b"'''x'''", b"\\u0041", b"\\\n", b"{{",
    b"}}", b"\xc3\xa9", b"\xe0\x01\x00\xea", b"\x00", b"\x01\x00", b"\xe3\x81\x84", b"\xee\x95\x81\x83", b"\x0f",
    b"\x2f", b"\x8e\x80", b"\xd1", b'$ion_symbol_table::{symbols:["a"]}',
    b'$ion_symbol_table::{imports:$ion_symbol_table,symbols:["b"]}', b"2020-02-30T", b"0x1F", b"1d3", b"-0", b"e0",
    b".5", b"00", b"#",
)  # fmt: skip


class Difference(AssertionError):
    """The kernels' results for an input differ."""


def compare(data: bytes, *, trust_deletions: bool = False) -> bool:
    """Return True if the native kernel answered. Raises Difference if the plain Python's result is another."""
    native: Decoded | DecodedRecord | None = decode_natively(strandline_native, data, trust_deletions, True)
    if native is not None:
        _check_same(native, objects.decode(data, trust_deletions=trust_deletions))
        return True
    native = decode_record_natively(strandline_native, data, trust_deletions)
    if native is not None:
        (plain,) = decode_records_of(data, trust_deletions=trust_deletions)
        _check_same(native, plain)
        return True
    return False


def _check_same(native: Decoded | DecodedRecord, plain: Decoded | DecodedRecord) -> None:
    for name in (field.name for field in fields(plain)):
        if getattr(native, name) != getattr(plain, name):
            raise Difference(f"{name}:\n  native {getattr(native, name)!r}\n  plain  {getattr(plain, name)!r}")


def inputs(seed: int) -> Iterator[bytes]:
    """Yield mutated journals without end; the same for the same seed."""
    random = Random(seed)
    while True:
        yield from _mutants_of_one(random)


def _mutants_of_one(random: Random) -> Iterator[bytes]:
    write = random.choice((ion_binary, ion_text))
    if random.random() < 0.2:
        journal = write(small_journal())
    elif random.random() < 0.1:
        journal = random.choice(sorted(VECTORS.glob("blocks/*.ion"))).read_bytes()
    else:
        journal = write(odd_journal(random))
    if random.random() < 0.3:
        blocks = random.choice((small_journal(), odd_journal(random)))
        journal = random.choice(list(stream.block_records(ARN, random.choice(blocks)))).data
    yield journal
    for _ in range(_FRESH):
        mutant = bytearray(journal)
        for _ in range(random.randrange(1, _MOST_MUTATIONS)):
            random.choice(_MUTATIONS)(mutant, random)
        yield bytes(mutant)


def _place(mutant: bytearray, random: Random) -> int:
    return random.randrange(len(mutant)) if mutant else 0


def _flip(mutant: bytearray, random: Random) -> None:
    if mutant:
        mutant[_place(mutant, random)] ^= 1 << random.randrange(8)


def _set(mutant: bytearray, random: Random) -> None:
    if mutant:
        mutant[_place(mutant, random)] = random.choice(_INTERESTING)


def _insert(mutant: bytearray, random: Random) -> None:
    place = _place(mutant, random)
    mutant[place:place] = bytes(random.choices(_INTERESTING, k=random.randrange(1, 4)))


def _insert_token(mutant: bytearray, random: Random) -> None:
    place = _place(mutant, random)
    mutant[place:place] = random.choice(_TOKENS)


def _insert_before_mark(mutant: bytearray, random: Random) -> None:
    """Insert at the end of a token, so that the text often stays valid."""
    place = mutant.find(random.choice(b',:[]{}()"'), _place(mutant, random))
    if place >= 0:
        mutant[place:place] = random.choice(_TOKENS)


def _delete(mutant: bytearray, random: Random) -> None:
    place = _place(mutant, random)
    del mutant[place : place + random.choice((1, 1, 1, 2, 30))]


def _repeat(mutant: bytearray, random: Random) -> None:
    place, target = _place(mutant, random), _place(mutant, random)
    mutant[target:target] = mutant[place : place + random.choice((1, 4, 40, 400))]


def _cut(mutant: bytearray, random: Random) -> None:
    del mutant[_place(mutant, random) :]


_MUTATIONS: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip, _flip, _set, _set, _insert, _insert_token, _insert_before_mark, _insert_before_mark, _delete, _repeat, _cut,
)  # fmt: skip


def fuzz(count: int, seed: int) -> Counter[str]:
    """Compare `count` inputs. Raises the first difference with its input in hex."""
    counts: Counter[str] = Counter()
    for number, data in zip(range(count), inputs(seed), strict=False):
        try:
            answered = compare(data, trust_deletions=number % 7 == 0)
        except BaseException as error:
            error.add_note(f"seed {seed}, input {number}: {data.hex()}")
            raise
        counts["both" if answered else "plain Python only"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    started = time.monotonic()
    counts = fuzz(options.inputs, options.seed)
    seconds = time.monotonic() - started
    sys.stdout.write(f"{options.inputs} inputs from seed {options.seed} in {seconds:.0f} s, no difference: {counts}\n")


if __name__ == "__main__":
    main()
