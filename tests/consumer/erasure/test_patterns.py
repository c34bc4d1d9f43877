"""QLDB's redaction patterns, each replayed at once and block by block, against every kind of read model."""

from typing import Any

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.monitoring.status import read_status
from strandline.consumer.verification.verify import verify_store
from strandline.journal.ion.hash import ion_hash, sha256
from strandline.journal.make.block import BlockMaker, NewRedaction, NewRevision, Statement, timestamp
from tests.consumer.erasure.conftest import Replayed
from tests.consumer.erasure.dump import relations_with
from tests.consumer.erasure.searched import COMPOSED
from tests.journals import STRAND, TABLE, Block

DOCUMENT = "Document00000000000000"
FIRST = {"licenceId": "L1", "status": "Valid", "firstName": "CanaryFirst", "postcode": "CanaryCode"}
SECOND = {"licenceId": "L1", "status": "Valid", "firstName": "CanarySecond", "postcode": "CanaryCode"}
BARE = {"licenceId": "L1", "status": "Valid", "firstName": "Ada"}
RENEWED = {**BARE, "status": "Renewed", "postcode": "EX1"}

HISTORY = """
    SELECT source_version, state, first_name, postcode FROM read.licence_history ORDER BY source_version"""
REGISTER = "SELECT source_version, status FROM read.licence_register"
BY_NAME = "SELECT document, name FROM read.by_name"


def journal(*steps: Any) -> list[Block]:
    """Make a block a step: data to write, None to delete, or the number of the version to redact."""
    maker = BlockMaker(STRAND)
    blocks: list[Block] = []
    written: list[int] = []

    def make(statement: str, **more: Any) -> None:
        at = timestamp(1_600_000_000_000 + maker.next_sequence_no * 1_000)
        id_ = f"Transaction{maker.next_sequence_no:011d}"
        made = maker.make(
            transaction_id=id_, tx_time=at, block_time=at, statements=[Statement(statement, at)], **more
        )  # fmt: skip
        blocks.append(made)

    make("CREATE TABLE Licence", system_revisions=[sha256(b"table")])
    for step in steps:
        if isinstance(step, int):
            make("EXEC redact_revision ?, ?, ?", redactions=[NewRedaction(written[step], TABLE, DOCUMENT, step)])
            continue
        revision = NewRevision(DOCUMENT, TABLE, "Licence", len(written), step)
        written.append(maker.next_sequence_no)
        make("UPDATE Licence SET x = ?", revisions=[revision])
    return blocks


PATTERNS: dict[str, tuple[list[Any], list[Any], list[Any], list[Any]]] = {
    "one old revision": (
        [FIRST, BARE, 0],
        [(0, "redacted", None, None), (1, "normal", "Ada", None)],
        [(1, "Valid")],
        [(DOCUMENT, "Ada")],
    ),
    "a document deleted, then all its revisions": (
        [FIRST, SECOND, None, 0, 1],
        [(0, "redacted", None, None), (1, "redacted", None, None), (2, "deleted", None, None)],
        [],
        [],
    ),
    "an attribute removed, the revision before redacted, a new value written": (
        [FIRST, BARE, 0, RENEWED],
        [(0, "redacted", None, None), (1, "normal", "Ada", None), (2, "normal", "Ada", "EX1")],
        [(2, "Renewed")],
        [(DOCUMENT, "Ada")],
    ),
}


@pytest.mark.parametrize("step_by_step", [False, True], ids=["at once", "block by block"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_reaches_its_receipt(store: Replayed, pattern: str, step_by_step: bool) -> None:
    store.projections = {**store.projections, COMPOSED.name: COMPOSED}
    steps, history, register, by_name = PATTERNS[pattern]
    blocks = journal(*steps)
    if step_by_step:
        for number in range(len(blocks)):
            store.replay(blocks[: number + 1])
    store.replay(blocks)
    assert store.rows(HISTORY) == history
    assert store.rows(REGISTER) == register
    assert store.rows(BY_NAME) == by_name
    erased = [step for step in steps if isinstance(step, int)]
    assert store.rows("SELECT version, data_hash FROM journal.redaction ORDER BY 1") == [
        (version, ion_hash(steps[version])) for version in erased
    ]
    assert store.rows("SELECT version FROM journal.revision WHERE data_hash IS NOT NULL AND data IS NULL") == [
        (version,) for version in erased
    ]
    assert relations_with(store.url, ["CanaryFirst", "CanarySecond", "CanaryCode"]) == {}
    assert verify_store(store.url, workers=1).faults == []
    with connect(store.url) as connection:
        counts = read_status(connection, store.projections.values()).redactions
    assert (counts.pending, counts.open, counts.done) == (0, 0, len(erased))
