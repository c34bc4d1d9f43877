"""A stored revision in each state is proved up to a digest, for `check_proof` and for the auditor's script."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.mark import advance
from strandline.consumer.verification.digest import store_digest
from strandline.consumer.verification.prove import prove
from strandline.journal.check import merkle
from strandline.journal.decode.objects import decode
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.proofs.check import check_proof
from tests.consumer.erasure.canaries import canaries
from tests.journals import ADA, BOB, STRAND, ion_binary, json_lines, small_journal

SCRIPT = Path(__file__).parents[3] / "docs/verify_proof.py"


def hold(url: str, data: bytes) -> None:
    rows = decode(data).rows
    assert rows is not None
    with connect(url) as connection:
        store = JournalWriter(connection)
        store.begin_strand(STRAND, 0)
        store.intake([rows], source="test")
        advance(connection)


@pytest.mark.parametrize(("document", "version"), [(ADA, 0), (ADA, 1), (BOB, 0), (BOB, 2)])
@pytest.mark.parametrize("tip", [None, 7, 8])
def test_every_state_is_proved_up_to_the_digest(
    database: str, tmp_path: Path, document: str, version: int, tip: int | None
) -> None:
    hold(database, ion_binary(small_journal()))
    expected = merkle.root([block["blockHash"] for block in small_journal()][: (8 if tip is None else tip) + 1])
    file = tmp_path / "proof.json"

    file.write_text(prove(database, document, version, tip).to_json())
    result = check_proof(file.read_bytes(), expected)
    script = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(file), "--digest", b64encode(expected).decode()], capture_output=True
    )

    assert result.ok, result.reasons
    assert (result.document, result.version, result.bound) == (document, version, True)
    assert script.returncode == 0, script.stdout
    assert store_digest(database, tip).digest == expected


def test_proof_fails_against_another_digest(database: str) -> None:
    hold(database, ion_binary(small_journal()))

    assert not check_proof(prove(database, ADA, 0).to_json().encode(), bytes(32)).ok


def test_revision_that_is_missing_or_above_the_tip_is_refused(database: str) -> None:
    hold(database, ion_binary(small_journal()))

    with pytest.raises(StrandlineError, match="holds no version 9"):
        prove(database, ADA, 9)
    with pytest.raises(StrandlineError, match="give a tip of 8"):
        prove(database, ADA, 2, 7)


def test_block_from_json_is_not_proved(database: str) -> None:
    """The chain holds, but nothing shows that the data have the hash."""
    hold(database, json_lines(small_journal()))

    with pytest.raises(StrandlineError, match="block 2 came only as JSON"):
        prove(database, ADA, 0)


def test_proof_that_does_not_verify_is_not_given(database: str) -> None:
    hold(database, ion_binary(small_journal()))
    with connect(database) as connection:
        connection.execute(
            "UPDATE journal.revision SET data_ion = %s WHERE document_id = %s", [ion.write({"firstName": "Zoe"}), ADA]
        )
        connection.commit()

    with pytest.raises(StrandlineError, match="does not verify") as error:
        prove(database, ADA, 0)
    assert "Zoe" not in str(error.value)


def test_proof_in_a_block_with_erased_statements_is_weaker(database: str) -> None:
    hold(database, ion_binary(canaries(documents=1).blocks))

    proof = prove(database, "Document00000000000000", 0)
    result = check_proof(proof.to_json().encode(), proof.digest)
    assert (result.ok, result.bound) == (True, False)
    assert "statement texts are erased" in " ".join(result.notes)


def test_proof_says_that_its_block_is_not_shown_to_be_complete(database: str) -> None:
    hold(database, ion_binary(small_journal()))
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO journal.omission (sequence_no, block_hash, detail, accepted_at) "
            "SELECT sequence_no, block_hash, 'for a test', now() FROM journal.block WHERE sequence_no = 5"
        )

    notes = prove(database, BOB, 1).notes
    assert [note for note in notes if "not shown to be complete" in note]
    assert not [note for note in prove(database, ADA, 1).notes if "not shown" in note]
