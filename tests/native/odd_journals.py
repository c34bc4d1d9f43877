"""Makes valid journals with every kind of Ion value, including those that real ledgers rarely have."""

from collections.abc import Sequence
from random import Random
from typing import Any

from strandline.journal.ion import values as ion
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.journals import ADA, BOB, OTHER_TABLE, STRAND, TABLE, Block

SCALARS = tuple(
    """
    null null.null null.bool null.int null.float null.decimal null.timestamp null.symbol null.string null.clob null.blob
    null.list null.sexp null.struct true false 0 -0 1 -1 127 128 255 256 -256 65535 18446744073709551615
    18446744073709551616 -18446744073709551617 0x0b0c0e -0xFF 1_000 0b1011 11 12 14 2827 0e0 -0e0 1e0 1.5e0 -2.5e-3 1e15
    1e16 1e17 123456789.123456789e0 5e-324 1.7976931348623157e308 1e-4 1e-5 +inf -inf 0. 0d0 -0. -0d5 0.00 -0.00 1.0
    1.00 100d-2 1d3 1.5d10 1d-7 1d-6 0.000001 0.0000001 0d-7 123456789012345678901234567890.5 1d131071 1d131072 1d-16383
    1d-16384 1d200000 -1d-200000 2017T 2017-08T 2017-08-21T 2017-08-21 2017-08-21T10:30Z 2017-08-21T10:30-00:00
    2017-08-21T10:30+01:00 2017-08-21T10:30:05Z 2017-08-21T10:30:05.0Z 2017-08-21T10:30:05.000Z
    2017-08-21T10:30:05.120-08:30 2017-08-21T10:30:05.123456789-00:00 2000-01-01T00:30:00.5+23:59 2000-02-29T23:59:59Z
    0001-01-01T00:00Z 9999-12-31T23:59:59.999999999Z 1999-12-31T23:59:59.5-23:59 symbol '' 'a\\'b' $0
    name 'null' version $ion "" "text" "a\\tb\\n\\"\\\\" "\\0" "\\uFDD0" "\\uFFFF" "\\U0001F600" "ünï" "\\x7f\\x01\\xe9"
    '''long''' {{}} {{aGVsbG8=}} {{CwwO}} {{""}} {{"clob\\x00\\xff\\x0b"}} [] () {} 2007-01-01T00:00:00.999Z
    """.split()
) + (
    str(2**512 - 1),
    str(-(2**512)),
    f"{2**512}.25",
    "'''long\nstring''' ''' of two'''",
    "{{ aGVs bG8= }}",
    "{{ '''long clob''' }}",
    "'quoted symbol'",
    "(a 'b c' (1 -2) [3])",
)

STRUCTURES = (
    "{v:#, w:[#, #], x:{y:#, 'with space':#}}",
    "{a:annotated::#, b:one::'two three'::#, c:(# [#])}",
    "[#, [#, [#]], {v:#}]",
    '{"":#, "\\0":#, "\\uFDD0":#, \'\\u00e9\':#, $0:#}',
    "{a:{a:{a:{a:{a:#}}}}, name:#, version:#, symbols:#, imports:#}",
    "#",
    "{" + ",".join(f"field{number}:#" for number in range(40)) + "}",
    "[" * 30 + "#" + "]" * 30,
)
STATEMENTS = (
    "INSERT INTO Licence ?", "-- Ada\nupdate x", "/* a */ 1 */ SELECT", "\u00a0\x1cSELECT", "", "DROP TABLE T", "Ada",
    "CREATE INDEX ON \"a\0\ufdd0\" (b)", "UNDROP TABLE \"id\"", "FROM T AS t",
)  # fmt: skip


def odd_value(random: Random) -> str:
    """Return the Ion text of a random value."""
    parts = random.choice(STRUCTURES).split("#")
    return parts[0] + "".join(random.choice(SCALARS) + part for part in parts[1:])


def odd_journal(random: Random, values: Sequence[str] | None = None) -> list[Block]:
    """Make valid blocks; each block's revision holds one of the values."""
    maker = BlockMaker(STRAND, random.randrange(3), b"" if random.random() < 0.5 else bytes(range(32)))
    values = values or [odd_value(random) for _ in range(random.randrange(1, 5))]
    return [_block(maker, random, ion.read_one(value.encode())) for value in values]


def _block(maker: BlockMaker, random: Random, data: Any) -> Block:
    at = random.choice((1, 951_782_399_999, 1_600_000_000_000, -62_000_000_000_000))
    table = random.choice(("Licence", "a\0\ufdd0\"'", " "))
    revisions = [NewRevision(ADA, TABLE, table, 0, data)]
    if random.random() < 0.5:
        revisions.append(NewRevision(BOB, random.choice((TABLE, OTHER_TABLE)), "Contact", 2**63 - 1, None))
    return maker.make(
        transaction_id="Transaction00000000000",
        tx_time=timestamp(at),
        block_time=timestamp(at + random.choice((0, 7, 59_999, 60_000, -1))),
        statements=[Statement(random.choice(STATEMENTS), timestamp(at))],
        revisions=revisions,
        system_revisions=[bytes(32)] * random.randrange(2),
    )
