"""Texts dumped for COPY are the bytes that psycopg sends, and what PostgreSQL reads."""

import psycopg
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq
from psycopg.adapt import Transformer

from strandline.consumer.sinks.text_array import TEXT_ARRAY, TextArrayDumper

TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


@given(TEXTS)
def test_bytes_equal_those_of_psycopg(texts: list[str]) -> None:
    transformer = Transformer()
    transformer.set_dumper_types([TEXT_ARRAY], pq.Format.BINARY)
    (expected,) = transformer.dump_sequence([texts], [])
    assert expected is not None
    assert TextArrayDumper(list).dump(texts) == bytes(expected)


def test_postgresql_reads_them(database: str) -> None:
    rows = [(["a", "ä\"'\\", ""],), ([],), (None,), (["NULL"],)]
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (texts text[])")
        with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
            cursor.adapters.register_dumper(list, TextArrayDumper)
            copy.set_types(["text[]"])
            for row in rows:
                copy.write_row(row)
        assert cursor.execute("SELECT texts FROM t").fetchall() == rows
