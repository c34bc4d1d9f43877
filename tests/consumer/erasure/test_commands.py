"""The commands of erasure, as a user calls them."""

from pathlib import Path

import psycopg

from strandline.journal.ion import values as ion
from tests.commands import Run
from tests.consumer.erasure.canaries import canaries, found_in, write_export


def test_erasure_from_the_request_to_the_receipts(run: Run, tmp_path: Path) -> None:
    made = canaries(documents=3)
    early = write_export(tmp_path / "early", made.blocks[: made.first_redaction])
    whole = write_export(tmp_path / "whole", made.blocks)
    said = [run("replay", str(early))]
    assert "No revision" in run("find-subject", "Licence.licenceId", "nobody").out
    asked = run("find-subject", "Licence.licenceId", made.strings[0], "--json")
    assert {one["document_id"] for one in asked.json["versions"]} == {"Document00000000000000"}
    assert [(one["sequence_no"], one["kind"]) for one in asked.json["statements"]] == [(1, "UPDATE")]
    replayed = run("replay", str(whole), "--json")
    assert (replayed.status, replayed.json["redactions"]) == (0, 6)
    said += [replayed, run("status", "--json")]
    assert said[-1].json["redactions"] == {"pending": 0, "open": 0, "done": 6}
    said.append(run("redactions", "expunge", "--physical", "--json"))
    assert (said[-1].status, said[-1].json["receipts"], said[-1].json["skipped"]) == (0, 12, [])
    said.append(run("redactions", "expunge"))
    assert said[-1].status == 0
    said.append(run("receipts", "--verify", "--json"))
    assert said[-1].status == 0
    verified = said[-1].json["verified"]
    assert verified.pop("head").startswith("18:")
    assert verified == {
        "ok": True, "receipts": 18, "broken_at": None, "reason": None, "without_receipt": 0, "unsearched": [],
        "residue": [],
    }  # fmt: skip
    first = said[-1].json["receipts"][0]
    assert (first["level"], first["store"], first["found"]) == ("hidden", "postgresql", "data")
    assert {"documentId", "version", "blockAddress", "dataHash", "readModels", "outOfScope", "previous"} <= set(first)
    assert len(run("receipts", "--document", first["documentId"], "--json").json["receipts"]) == 6
    said.append(run("receipts", "--verify"))
    assert "chain holds" in said[-1].out
    said.append(run("redactions", "export", str(tmp_path / "register.json")))
    said.append(run("redactions", "import", str(tmp_path / "register.json"), "--json"))
    assert said[-1].json["new"] == 0
    said.append(run("scrub", str(early), str(tmp_path / "copy"), "--json"))
    assert (said[-1].status, said[-1].json["redactions"], said[-1].json["level"]) == (0, 6, "full")
    assert found_in(tmp_path / "copy", made.strings) == set()
    assert run("verify", "--json").json["unexplained_redactions"] == 0
    # No output of a command has the erased data.
    assert not [string for string in made.strings for one in said if string in one.out + one.err]


def test_residue_is_named_by_place_without_its_data(run: Run, tmp_path: Path, database: str) -> None:
    made = canaries(documents=1)
    run("replay", str(write_export(tmp_path / "whole", made.blocks)))
    with psycopg.connect(database) as connection:
        connection.execute('UPDATE journal.revision SET data = \'{"a": "secret"}\' WHERE sequence_no = 1')
    found = run("receipts", "--verify")
    assert found.status == 1
    assert "Residue in the journal: version 0 of document Document00000000000000." in found.err
    assert "secret" not in found.out + found.err


def test_residue_in_a_statement_text_is_named(run: Run, tmp_path: Path, database: str) -> None:
    """The text of the redacted revision's transaction is back, with the value glued in."""
    made = canaries(documents=1)
    run("replay", str(write_export(tmp_path / "whole", made.blocks)))
    info = made.blocks[1]["transactionInfo"]
    assert made.strings[0] in info["statements"][0]["statement"]
    with psycopg.connect(database) as connection:
        restore = "UPDATE journal.block SET transaction_info = %s WHERE sequence_no = 1"
        connection.execute(restore, [ion.write(info)])
    found = run("receipts", "--verify")
    assert found.status == 1
    assert "Residue in the journal: version 0 of document Document00000000000000." in found.err
    assert made.strings[0] not in found.out + found.err


def test_lost_block_is_accepted_with_a_reason_and_shown_afterwards(run: Run, tmp_path: Path) -> None:
    made = canaries(documents=2)
    export = write_export(tmp_path / "whole", made.blocks)
    for path in export.rglob("*.0-6.ion"):
        path.unlink()
    for path in export.glob("*.manifest"):
        path.unlink()
    assert run("replay", str(export), "--json").json["gaps"] == [[0, 6]]
    assert "is not a range" in run("accept-gap", "3", "2", "--reason", "lost").err
    assert run("accept-gap", "0", "6", "--reason", " ").status == 2
    assert run("accept-gap", "0", "99", "--reason", "lost").status == 2
    accepted = run("accept-gap", "0", "6", "--reason", "the bucket was emptied", "--json")
    assert (accepted.status, accepted.json["mark"]) == (0, len(made.blocks) - 1)
    assert run("status", "--json").json["accepted_gaps"] == [[0, 6]]
    assert run("replay", str(export)).status == 0


def test_rejected_records_are_listed_by_age(run: Run, tmp_path: Path) -> None:
    assert run("rejected").out == "Nothing was rejected.\n"
    made = canaries(documents=1)
    forged = [*made.blocks[:2], {**made.blocks[2], "blockHash": bytes(32)}]
    assert run("replay", str(write_export(tmp_path / "forged", forged))).status == 1
    listed = run("rejected", "--json").json
    assert listed["rejected"] == len(listed["records"]) >= 1
    assert {"sequenceNo", "fault", "detail", "source", "bytes", "rejected_at"} <= set(listed["records"][0])
    assert "blockHash" in run("rejected", "--list").out
    assert [(one["fault"], one["rejected"]) for one in listed["reasons"]] == [
        (listed["records"][0]["fault"], listed["rejected"])
    ]
    assert f"{listed['records'][0]['fault']}\t{listed['rejected']}\tblock 2" in run("rejected").out


def test_acknowledged_rejections_are_neither_counted_nor_listed(run: Run, tmp_path: Path) -> None:
    made = canaries(documents=1)
    forged = [*made.blocks[:2], {**made.blocks[2], "blockHash": bytes(32)}]
    run("replay", str(write_export(tmp_path / "forged", forged)))
    number = run("status", "--json").json["rejected"]
    assert number >= 1
    assert run("rejected", "--acknowledge", "--json").json["newly_acknowledged"] == number
    assert run("status", "--json").json["rejected"] == 0
    assert run("rejected").out == "Nothing was rejected.\n"
    assert run("rejected", "--all", "--json").json["rejected"] == number
    run("replay", str(tmp_path / "forged"))
    assert run("rejected", "--json").json["rejected"] == 0
