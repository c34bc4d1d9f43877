"""The disk that a revision takes, by table and index, beside the export that it came from."""

import gzip
from collections.abc import Iterator

from benchmarks.journal import make_journal, replay
from benchmarks.measuring import Figure, Measured, Options, database, run
from strandline.consumer.database.connection import connect

BLOCKS = 20_000
# Partitions count as their parent; a table's own size is that of its rows and of what is stored outside them (TOAST).
SIZES = """
    SELECT coalesce(parent.relname, c.relname),
           sum(CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END)::bigint
    FROM pg_class c
    LEFT JOIN pg_inherits h ON h.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = h.inhparent
    WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind IN ('r', 'i')
    GROUP BY 1"""


def measure_disk(url: str, options: Options) -> Iterator[Figure]:
    """Replay a sample export of the licence ledger, and compare the sizes of tables and indexes with its own."""
    folder = options.folder / "disk"
    run(make_journal, str(folder), BLOCKS, "ION_BINARY")
    export = [path.read_bytes() for path in (folder / "full").rglob("*.ion")]
    with database(url, "disk") as store:
        measured = run(replay, f"{folder}/full", store)
        with connect(store, autocommit=True) as connection:
            connection.execute("VACUUM")
            sizes: dict[str, int] = dict(connection.execute(SIZES).fetchall())
    binary = sum(map(len, export))
    packed = sum(len(gzip.compress(one)) for one in export)
    exports = [("the export, Ion binary", binary), ("the export, gzip", packed)]
    for name, size in [*exports, ("schema journal", sum(sizes.values())), *_largest(sizes)]:
        yield _figure(name, size, binary, measured)


def _largest(sizes: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda one: -one[1])[:12]


def _figure(name: str, size: int, binary: int, measured: Measured) -> Figure:
    each = f"{size / measured.rows:,.0f} bytes a revision"
    return Figure(name, each, measured, size / binary, "the export, Ion binary")
