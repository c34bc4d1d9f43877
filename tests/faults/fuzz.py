"""Damaged journals and records, one after another: each ends in rows, in faults, or in both, never in an exception.

A process of its own, because what is damaged may also crash or hang whoever reads it: `input` then holds the bytes.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from psycopg import Connection

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.writer import JournalWriter
from strandline.journal.decode import stream
from strandline.journal.decode.archives import decode_records
from strandline.journal.decode.objects import Decoded, decode
from strandline.journal.decode.stream import UserRecord
from tests.journals import Block, ion_binary, ion_text, json_lines, small_journal
from tests.native.odd_journals import odd_journal

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/test/0"
MUTANTS = 20  # of each journal
PIECES = (b"\0", b"\xff", b"\xe0\x01\x00\xea", b"\xee\x81\x83", b'"\\ud800"', b"1e200000", b"[" * 300, b"{{", b"'''")


def damaged(seed: int) -> Iterator[tuple[str, bytes]]:
    """Inputs without end, each with its form; the same for the same seed."""
    random = Random(seed)
    while True:
        blocks = small_journal() if random.random() < 0.3 else odd_journal(random)
        form = random.choice(list(FORMS))
        whole = FORMS[form](blocks)
        for _ in range(MUTANTS):
            yield form, _mutant(whole, random)


def take(form: str, data: bytes) -> Decoded:
    return decode_records([("input", data)]) if form in ("records", "packed") else decode(data)


def run(seed: int, seconds: float, kept: Path, url: str | None) -> Counter[str]:
    """Take damaged inputs until the time is up; with a database, what verified is stored too."""
    counts: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    connection = connect(url) if url is not None else None
    for form, data in damaged(seed):
        kept.write_bytes(data)
        decoded = take(form, data)
        counts[form] += 1
        counts["with faults"] += bool(decoded.faults)
        if connection is not None and decoded.rows is not None:
            _store(connection, decoded)
            counts["stored"] += 1
        if time.monotonic() > deadline:
            break
    if connection is not None:
        connection.close()
    return counts


def _store(connection: Connection[tuple[object, ...]], decoded: Decoded) -> None:
    assert decoded.rows is not None
    JournalWriter(connection).intake([decoded.rows], source="fuzz")
    with connection.transaction():  # each input meets an empty store
        connection.execute("TRUNCATE journal.block, journal.revision, journal.omission")


def _mutant(whole: bytes, random: Random) -> bytes:
    mutant = bytearray(whole)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(mutant) or 1)
        match random.randrange(6):
            case 0 if mutant:
                mutant[at] ^= 1 << random.randrange(8)
            case 1:
                del mutant[at : at + random.randint(1, 40)]
            case 2:
                mutant[at:at] = random.choice(PIECES)
            case 3:
                mutant[at:at] = mutant[at : at + random.randint(1, 200)]
            case 4:
                del mutant[at:]
            case _:
                mutant[at : at + 1] = bytes([random.randrange(256)])
    return bytes(mutant)


def _records(blocks: list[Block]) -> list[UserRecord]:
    return [record for block in blocks for record in stream.block_records(ARN, block)]


FORMS: dict[str, Callable[[list[Block]], bytes]] = {
    "binary": ion_binary,
    "text": ion_text,
    "json": json_lines,
    "records": lambda blocks: b"".join(record.data for record in _records(blocks)),
    "packed": lambda blocks: next(stream.aggregate(_records(blocks), 1 << 20)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--input", type=Path, required=True, help="where the input in hand is kept")
    parser.add_argument("--database", help="URL of an empty, migrated database to store in what verifies")
    given = parser.parse_args()
    print(json.dumps(run(given.seed, given.seconds, given.input, given.database)))


if __name__ == "__main__":
    main()
