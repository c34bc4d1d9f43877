"""Statement texts with literals are recognised, and erased down to their hash."""

from typing import Any

import pytest

from strandline.journal.check.block import check_block
from strandline.journal.check.statements import ERASED, erased, has_literal
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.ion.json import read_json, to_json
from strandline.journal.make.block import redact
from tests.consumer.erasure.canaries import canaries


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM Licence",
        "INSERT INTO Licence ?",
        'UPDATE "Table 1" AS t2 SET t2."it\'s 5" = ?',
        "FROM Licence AS l WHERE l.licence_2 = ? REMOVE l.$x1",
        'SELECT "a""b\'c" FROM Straße',
        "",
    ],
)
def test_names_keywords_and_question_marks_are_no_literals(statement: str) -> None:
    assert not has_literal(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE Licence SET name = 'Ada'",
        "UPDATE Licence SET at = `2020-01-01T`",
        "SELECT * FROM Licence WHERE points > 3",
        "SELECT * FROM Licence WHERE points > .5",
        "SELECT 'not closed",
        'SELECT "not closed',
        "SELECT * FROM Licence -- for Ada",
        "SELECT /* Ada */ * FROM Licence",
        "SELECT ٣ FROM Licence",
    ],
)
def test_quotes_backticks_numbers_and_comments_count_as_literals(statement: str) -> None:
    assert has_literal(statement)


def test_long_text_takes_linear_time() -> None:
    assert has_literal("a" * 100_000 + "'")
    assert has_literal('"' + "a" * 100_000)
    assert has_literal("$" * 100_000 + "1'")


def literal_block() -> dict[str, Any]:
    return redact(canaries().blocks[1], "Document00000000000000", 0)


def with_erased(block: dict[str, Any]) -> dict[str, Any]:
    left = erased(block["transactionInfo"], block["entriesHashList"])
    return {ERASED if name == "transactionInfo" else name: left if name == "transactionInfo" else member
            for name, member in block.items()}  # fmt: skip


def test_erased_statement_keeps_the_hash_and_no_text() -> None:
    block = literal_block()
    left = erased(block["transactionInfo"], block["entriesHashList"])
    assert left is not None
    assert left["hash"] == ion_hash(block["transactionInfo"])
    assert left["documents"] == block["transactionInfo"]["documents"]
    assert [set(statement) for statement in left["statements"]] == [{"kind", "startTime", "statementDigest"}] * 2
    assert [statement["kind"] for statement in left["statements"]] == ["UPDATE", "SELECT"]
    assert "Canary" not in ion.write_text(left)


def test_hash_of_statements_from_json_uses_the_types_of_qldb() -> None:
    block = next(read_json(to_json(literal_block())))
    left = erased(block["transactionInfo"], check_block(block).entries_hashes)
    assert left is not None
    assert left["hash"] == next(read_json(to_json({"hash": ion_hash(literal_block()["transactionInfo"])})))["hash"]


@pytest.mark.parametrize("as_json", [False, True])
def test_block_with_erased_statements_verifies(as_json: bool) -> None:
    block = with_erased(literal_block())
    checked = check_block(next(read_json(to_json(block))) if as_json else block)
    assert checked.faults == []
    assert checked.statements_erased
    assert checked.statements == ["UPDATE", "SELECT"]


@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_hash_of_erased_statements_is_a_fault(as_json: bool) -> None:
    block = with_erased(literal_block())
    block[ERASED]["hash"] = ion_hash("another")
    checked = check_block(next(read_json(to_json(block))) if as_json else block)
    assert [fault.fault for fault in checked.faults] == [ERASED]


def test_erased_statements_without_hash_are_a_fault_at_level_full() -> None:
    block = with_erased(literal_block())
    del block[ERASED]["hash"]
    assert [fault.fault for fault in check_block(block).faults] == ["shape"]


def test_statements_both_present_and_erased_are_a_fault() -> None:
    block = literal_block()
    both = {**block, ERASED: with_erased(block)[ERASED]}
    assert [fault.fault for fault in check_block(both).faults] == ["transactionInfo"]
