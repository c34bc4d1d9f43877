"""Simulated journals: number of blocks, a valid chain, and the contents of each folder."""

import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from strandline.journal.check import merkle
from strandline.journal.check.block import check_block
from strandline.journal.decode import stream
from strandline.journal.errors import UsageError
from strandline.journal.ion import json as ion_json
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.format import Format
from strandline.journal.simulation.ledgers import LEDGERS
from strandline.journal.simulation.names import LedgerName
from strandline.journal.simulation.simulate import simulate
from strandline.journal.simulation.strand import Simulated

BLOCKS = 150


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    directory = tmp_path_factory.mktemp("journal") / "j"
    return directory, simulate(directory, BLOCKS, 3, Format.ION_TEXT)


def from_json(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def manifest_keys(folder: Path) -> list[str]:
    (manifest,) = folder.glob("*.completed.manifest")
    return list(ion.read_one(manifest.read_bytes())["keys"])


def read(folder: Path, format: Format = Format.ION_TEXT) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for key in manifest_keys(folder):
        data = (folder.parent / key).read_bytes()
        values = map(from_json, data.splitlines()) if format is Format.JSON else ion.read(data)
        own = list(values)
        match = re.search(r"(\w{22})\.(\d+)-(\d+)\.(ion|json)$", key)
        assert match is not None
        address = own[0]["blockAddress"]
        assert (match[1], int(match[2])) == (address["strandId"], address["sequenceNo"])
        assert int(match[3]) == own[-1]["blockAddress"]["sequenceNo"]
        blocks += own
    return blocks


def revisions(blocks: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (revision["metadata"]["id"], revision["metadata"]["version"]): revision
        for block in blocks
        for revision in block.get("revisions", ())
        if "metadata" in revision
    }


def redacted_by(blocks: list[dict[str, Any]]) -> dict[tuple[str, int], int]:
    return {
        (named["documentId"], named["version"]): block["blockAddress"]["sequenceNo"]
        for block in blocks
        for named in block.get("redactionInfo", {}).get("revisions", ())
    }


def test_chain_verifies_up_to_digest(journal: tuple[Path, Simulated]) -> None:
    directory, simulated = journal
    blocks = read(directory / "full")
    assert [block["blockAddress"]["sequenceNo"] for block in blocks] == list(range(BLOCKS))
    previous, time = b"", None
    for block in blocks:
        assert block["previousBlockHash"] == previous
        assert block["blockHash"] == merkle.dot(merkle.root(block["entriesHashList"]), previous)
        for revision in block.get("revisions", ()):
            assert time is None or "metadata" not in revision or revision["metadata"]["txTime"] > time
        previous, time = block["blockHash"], block["blockTimestamp"]
    assert simulated.digest == merkle.root([block["blockHash"] for block in blocks])
    saved = json.loads((directory / "full.digest.json").read_text())
    assert b64decode(saved["Digest"]) == simulated.digest
    tip = ion.read_one(saved["DigestTipAddress"]["IonText"].encode())
    assert tip == {"strandId": simulated.strand_id, "sequenceNo": simulated.tip}


def test_every_kind_of_block_occurs(journal: tuple[Path, Simulated]) -> None:
    directory, simulated = journal
    blocks = read(directory / "full")
    assert "transactionInfo" not in blocks[0]
    texts = [s["statement"] for block in blocks[1:] for s in block["transactionInfo"]["statements"]]
    kinds = Counter(text.split()[0] for text in texts)
    assert set(kinds) >= {"CREATE", "INSERT", "UPDATE", "DELETE", "SELECT", "EXEC", "FROM"}
    assert any("l.street = '" in text for text in texts)
    held = revisions(blocks)
    assert len(held) == simulated.revisions
    assert simulated.redactions == round(0.08 * BLOCKS) == len(redacted_by(blocks))
    assert sum("data" not in r and "dataHash" not in r for r in held.values()) == simulated.deletions > 0
    assert {len(block.get("revisions", ())) for block in blocks} == {0, 1, 2, 3, 4}


def test_only_inactive_revisions_with_data_are_redacted_once(journal: tuple[Path, Simulated]) -> None:
    directory, _ = journal
    blocks = read(directory / "full")
    held = revisions(blocks)
    named = [n for block in blocks for n in block.get("redactionInfo", {}).get("revisions", ())]
    assert len({(n["documentId"], n["version"]) for n in named}) == len(named)
    for key, block in redacted_by(blocks).items():
        assert "dataHash" in held[key]
        document, version = key
        assert held[document, version + 1]["blockAddress"]["sequenceNo"] < block
    assert {key for key, revision in held.items() if "dataHash" in revision} == set(redacted_by(blocks))
    for revision in held.values():
        if "data" in revision:
            data_hash = ion_hash(revision["data"])
            assert revision["hash"] == merkle.dot(ion_hash(revision["metadata"]), data_hash)


def test_early_export_has_only_its_own_redactions(journal: tuple[Path, Simulated]) -> None:
    directory, _ = journal
    full, early, late = (read(directory / name) for name in ("full", "early", "late"))
    assert (len(early), len(late)) == (BLOCKS // 2, BLOCKS // 2)
    assert [ion_hash(block) for block in late] == [ion_hash(block) for block in full[BLOCKS // 2 :]]
    assert [block["blockHash"] for block in early] == [block["blockHash"] for block in full[: BLOCKS // 2]]
    redacted = {key for key, revision in revisions(early).items() if "dataHash" in revision}
    assert redacted == set(redacted_by(early))
    later = {key for key, revision in revisions(full[: BLOCKS // 2]).items() if "dataHash" in revision} - redacted
    assert later
    assert all("data" in revisions(early)[key] for key in later)


def test_stream_is_unordered_with_repetitions(journal: tuple[Path, Simulated]) -> None:
    directory, simulated = journal
    raws = [path.read_bytes() for path in sorted((directory / "stream").iterdir())]
    records = [stream.decode(data) for raw in raws for data in stream.deaggregate(raw)]
    assert records[0].payload == {"controlRecordType": "CREATED"}
    assert records[-1].payload == {"controlRecordType": "COMPLETED"}
    numbers = [r.payload["blockAddress"]["sequenceNo"] for r in records if r.type == "BLOCK_SUMMARY"]
    assert set(numbers) == set(range(BLOCKS))
    assert numbers != sorted(numbers)
    details = [r.payload["revision"] for r in records if r.type == "REVISION_DETAILS"]
    assert len({revision["hash"] for revision in details}) == simulated.revisions
    assert len(numbers) + len(details) > BLOCKS + simulated.revisions
    assert not any("dataHash" in revision for revision in details)


def test_names_and_manifests_are_qldbs(journal: tuple[Path, Simulated]) -> None:
    directory, simulated = journal
    keys = manifest_keys(directory / "full")
    assert len(keys) > 2
    assert all(re.fullmatch(rf"full/\d{{4}}(/\d\d){{3}}/{simulated.strand_id}\.\d+-\d+\.ion", key) for key in keys)
    (started,) = (directory / "full").glob("*.started.manifest")
    (completed,) = (directory / "full").glob("*.completed.manifest")
    export_id = started.name.removesuffix(".started.manifest")
    assert completed.name == f"{export_id}.{simulated.strand_id}.completed.manifest"
    assert ion.read_one(started.read_bytes())["exportId"] == export_id


@pytest.mark.parametrize("format", [Format.ION_BINARY, Format.JSON])
def test_other_formats_hold_the_same_journal(journal: tuple[Path, Simulated], tmp_path: Path, format: Format) -> None:
    directory, simulated = journal
    assert simulate(tmp_path, BLOCKS, 3, format) == simulated
    expected, found = read(directory / "full"), read(tmp_path / "full", format)
    if format is Format.JSON:
        assert [block["blockHash"] for block in found] == [b64encode(b["blockHash"]).decode() for b in expected]
        assert found == [from_json(ion_json.to_json(block)) for block in expected]
    else:
        assert [ion_hash(block) for block in found] == [ion_hash(block) for block in expected]


def test_same_seed_gives_the_same_bytes(journal: tuple[Path, Simulated], tmp_path: Path) -> None:
    directory, simulated = journal
    assert simulate(tmp_path, BLOCKS, 3, Format.ION_TEXT) == simulated
    files = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
    assert files
    assert all((directory / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)


@pytest.mark.parametrize("blocks", [1, 2, 9, 10, 13, 20])
def test_small_journals_verify(tmp_path: Path, blocks: int) -> None:
    assert simulate(tmp_path / "j", blocks, 1, Format.ION_TEXT).blocks == blocks
    assert len(read(tmp_path / "j" / "full")) == blocks
    assert len(read(tmp_path / "j" / "early")) + len(read(tmp_path / "j" / "late")) == blocks


@pytest.mark.parametrize("seed", range(8))
def test_hundred_blocks_contain_deletion_and_redaction(tmp_path: Path, seed: int) -> None:
    simulated = simulate(tmp_path, 100, seed, Format.ION_BINARY, redactions=0.001)
    assert simulated.redactions == 1
    assert simulated.deletions >= 1


def test_share_of_redactions_is_kept(tmp_path: Path) -> None:
    assert simulate(tmp_path / "none", 200, 1, Format.ION_BINARY, redactions=0).redactions == 0
    assert simulate(tmp_path / "many", 200, 1, Format.ION_BINARY, redactions=0.4).redactions == 80


def test_progress_reaches_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate(tmp_path, 12, 1, Format.JSON, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 24) for n in range(1, 25)]


def test_invalid_arguments_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        simulate(tmp_path, 10, 1, Format.JSON)
    with pytest.raises(UsageError, match="cannot write to"):
        simulate(tmp_path / "file", 10, 1, Format.JSON)
    with pytest.raises(UsageError, match="at least 1 block"):
        simulate(tmp_path / "new", 0, 1, Format.JSON)
    with pytest.raises(UsageError, match="share of redactions"):
        simulate(tmp_path / "new", 10, 1, Format.JSON, redactions=1.5)


@pytest.mark.parametrize("name", LedgerName)
def test_every_ledger_verifies_and_redacts_on_request(name: LedgerName, tmp_path: Path) -> None:
    plain = simulate(tmp_path / "plain", 120, 5, Format.ION_BINARY, kind=LEDGERS[name])
    redacting = simulate(tmp_path / "redacting", 120, 5, Format.ION_BINARY, redactions=0.1, kind=LEDGERS[name])
    assert plain.redactions == (10 if name is LedgerName.LICENSING else 0)
    assert redacting.redactions == 12
    blocks = read(tmp_path / "redacting" / "full")
    assert {name for block in blocks for name in tables_of(block)} == set(LEDGERS[name].tables)
    assert [fault for block in blocks for fault in check_block(block).faults] == []
    assert [block["previousBlockHash"] for block in blocks[1:]] == [block["blockHash"] for block in blocks[:-1]]


def tables_of(block: dict[str, Any]) -> list[str]:
    return [document["tableName"] for document in block.get("transactionInfo", {}).get("documents", {}).values()]
