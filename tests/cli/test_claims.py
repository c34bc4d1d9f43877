"""Commands claim no more than was checked: the data, QLDB's authorship, completeness."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from strandline.journal.check import merkle
from strandline.journal.ion.hash import sha256
from strandline.journal.make.block import BlockMaker, NewRevision, Statement, timestamp
from tests.commands import Run
from tests.journals import ADA, BOB, STRAND, Block, ion_binary, json_lines, small_journal

SENTENCE = "this is what QLDB wrote"


def write_export(
    folder: Path, blocks: list[Block], write: Callable[[list[Block]], bytes] = ion_binary, suffix: str = "ion"
) -> str:
    folder.mkdir(parents=True)
    first, last = (blocks[at]["blockAddress"]["sequenceNo"] for at in (0, -1))
    (folder / f"{STRAND}.{first}-{last}.{suffix}").write_bytes(write(blocks))
    return str(folder)


def digest_of(blocks: list[Block]) -> str:
    return b64encode(merkle.root([block["blockHash"] for block in blocks])).decode()


def grafted_journal() -> list[Block]:
    """Return a journal whose last two blocks Strandline wrote."""
    blocks = small_journal()
    maker = BlockMaker(STRAND, 9, blocks[-1]["blockHash"])
    for table in ("StrandlineGraft", "Licence"):
        time = timestamp(1_700_000_000_000 + maker.next_sequence_no)
        revision = NewRevision(f"Document{table:_<14}", f"Table{table:_<17}", table, 0, {"a": 1})
        statements = [Statement("INSERT INTO T ?", time)]
        number = maker.next_sequence_no
        blocks.append(
            maker.make(
                transaction_id=f"Transaction{number:011d}", tx_time=time, block_time=time, statements=statements,
                revisions=[revision],
            )
        )  # fmt: skip
    return blocks


def test_forged_data_in_json_are_not_vouched_for(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    forged = json_lines(blocks).replace(b'"Revoked"', b'"Pending"')
    assert forged != json_lines(blocks)
    export = write_export(tmp_path / "json", blocks, lambda _: forged, "json")
    found = run("verify", export, "--digest", digest_of(blocks))
    assert found.status == 0
    assert found.out.splitlines()[0].startswith("CHAIN VERIFIED, DATA NOT VERIFIED")
    assert f"{SENTENCE}, except for the data, which were not checked" in found.out
    told = run("verify", export, "--json").json
    assert list(told)[:2] == ["ok", "data_verified"]
    assert (told["ok"], told["data_verified"], told["level"]) == (True, False, "chain")
    strict = run("verify", export, "--require", "full")
    assert (strict.status, strict.out.splitlines()[0]) == (1, "NOT VERIFIED: 1 fault.")


def test_level_full_is_met_by_ion(run: Run, tmp_path: Path) -> None:
    export = write_export(tmp_path / "ion", small_journal())
    found = run("verify", export, "--require", "full", "--json")
    assert (found.status, found.json["data_verified"]) == (0, True)


@pytest.mark.parametrize("write", [ion_binary, json_lines])
def test_digest_beyond_the_graft_is_not_called_that_of_qldb(
    run: Run, tmp_path: Path, write: Callable[[list[Block]], bytes]
) -> None:
    blocks = grafted_journal()
    export = write_export(tmp_path / "export", blocks, write)
    for source in ([export], []):
        if not source:
            run("replay", export)
        ours = run("verify", *source, "--digest", digest_of(blocks))
        assert ours.status == 0
        assert SENTENCE not in ours.out
        assert "Strandline wrote blocks 9 and later" in ours.out
        below = run("verify", *source, "--digest", digest_of(blocks[:9]), "--tip", "8")
        assert SENTENCE in below.out
        assert "Blocks 9 and later were written by Strandline, not QLDB." in run("verify", *source).out
        assert run("verify", *source, "--json").json["graft"] == 9


def test_digest_command_says_that_it_checks_links_alone(run: Run, tmp_path: Path) -> None:
    run("replay", write_export(tmp_path / "export", grafted_journal()))
    found = run("digest", "--json").json
    assert (found["data_verified"], found["graft"], found["tip"]) == (False, 9, 10)
    said = run("digest").out
    assert "contents were not checked" in said
    assert "QLDB did not give this digest" in said
    assert "QLDB did not give" not in run("digest", "--tip", "8").out


def stripped(blocks: list[Block], number: int, *names: str) -> list[Block]:
    kept = {name: value for name, value in blocks[number].items() if name not in names}
    return [*blocks[:number], kept, *blocks[number + 1 :]]


def test_block_without_its_contents_is_not_called_verified(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    export = write_export(tmp_path / "export", stripped(blocks, 6, "transactionInfo", "revisions"))
    found = run("verify", export, "--digest", digest_of(blocks))
    assert found.status == 3
    assert found.out.startswith("CANNOT BE CHECKED")
    assert SENTENCE not in found.out
    assert "Not shown to be complete: block 6" in found.err
    told = run("verify", export, "--json").json
    assert (told["ok"], told["answer"], told["incomplete"]) == (False, "cannot be checked", 1)
    assert [one["sequenceNo"] for one in told["omissions"]] == [6]
    assert run("verify", export, "--require", "full").status == 1


def test_complete_copy_of_a_block_makes_up_for_a_stripped_one(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    part = write_export(tmp_path / "stripped", stripped(blocks, 6, "transactionInfo", "revisions"))
    whole = write_export(tmp_path / "whole", blocks)
    for sources in ((part, whole), (whole, part)):
        assert run("verify", *sources, "--json").json["incomplete"] == 0


def test_proof_is_shown_as_text_with_three_answers(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    run("replay", write_export(tmp_path / "export", blocks))
    file = tmp_path / "proof.json"
    made = run("prove", ADA, "1", "-o", str(file), "--json").json
    assert (made["data_verified"], made["bound"], made["written_by"]) == (True, True, "qldb")
    held = run("check-proof", str(file), "--digest", digest_of(blocks))
    assert held.status == 0
    assert held.out.splitlines()[0] == "The proof HOLDS, against the digest given."
    for line in (f"document     {ADA}, version 1", "table        Licence", "block        3 of strand", "Revoked"):
        assert line in held.out
    content = run("check-proof", str(file), "--json").json["content"]
    assert (content["table"], content["block"], content["state"]) == ("Licence", 3, "normal")
    assert "Revoked" in content["data"]
    failed = run("check-proof", str(file), "--digest", b64encode(sha256(b"other")).decode())
    assert (failed.status, failed.out.splitlines()[0]) == (1, "The proof DOES NOT HOLD.")
    assert "Revoked" not in failed.out
    file.write_text(file.read_text().replace('"full"', '"chain"'))
    assert run("check-proof", str(file)).status == 3
    file.write_text("{}")
    unreadable = run("check-proof", str(file))
    assert (unreadable.status, "CANNOT BE CHECKED" in unreadable.out) == (3, True)
    assert run("check-proof", str(file), "--json").json["answer"] == "cannot be checked"


def test_revision_from_json_is_not_proved(run: Run, tmp_path: Path) -> None:
    run("replay", write_export(tmp_path / "export", small_journal(), json_lines, "json"))
    refused = run("prove", BOB, "0")
    assert (refused.status, refused.out) == (1, "")
    assert "came only as JSON" in refused.err


def test_proof_that_the_disk_changed_is_not_reported_as_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("replay", write_export(tmp_path / "export", small_journal()))
    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda self, text, **options: write(self, text[:-40], **options))
    broken = run("prove", ADA, "0", "-o", str(tmp_path / "proof.json"))
    assert broken.status == 1
    assert "Wrote" not in broken.out
