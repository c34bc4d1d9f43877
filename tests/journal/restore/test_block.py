"""Blocks of a JSON export: every hash holds after the search, and nothing else is accepted."""

from pathlib import Path
from typing import Any

import pytest

from strandline.journal.check.block import check_block
from strandline.journal.check.members import ShapeError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.restore.block import Restorer
from strandline.journal.restore.hints import read_hints
from strandline.journal.simulation.ledgers import LEDGERS
from strandline.journal.simulation.names import LedgerName
from strandline.journal.simulation.strand import SimulatedStrand
from tests.journal.restore.exported import journal_of, shown
from tests.journals import small_journal

VECTORS = Path(__file__).parents[2] / "vectors"
DOCUMENT = """{issued: 2020-01-02T03:04:05.678Z, fee: 34.00, status: ACTIVE, name: "Ada Fiction", points: 3,
    ratio: 1.5e0, photo: {{aGVsbG8gd29ybGQsIGhlbGxv}}, note: null.string, born: 1980-02-03,
    events: [{at: 2020-01-02T, by: x}]}"""


def read(text: str) -> Any:
    return ion.read_one(text.encode())


@pytest.mark.parametrize("name", LedgerName)
def test_simulated_ledgers_are_restored_whole(name: LedgerName) -> None:
    blocks = list(SimulatedStrand(LEDGERS[name], 5, 120, 0.05).make())
    restorer = Restorer()

    for block in blocks:
        restored = restorer.restore(shown(block))
        assert restored.held_out == []
        assert restored.block is not None
        assert ion_hash(restored.block) == ion_hash(block)


def test_block_with_every_part_is_restored() -> None:
    for block in small_journal():
        restored = Restorer().restore(shown(block))
        assert restored.block is not None
        assert ion_hash(restored.block) == ion_hash(block)


@pytest.mark.parametrize("name", ["blocks/aws-cli_get-block_seq100.ion"])
def test_real_block_is_restored(name: str) -> None:
    block = ion.read_one((VECTORS / name).read_bytes())
    restored = Restorer().restore(shown(block))

    assert restored.block is not None
    assert ion_hash(restored.block) == ion_hash(block)
    assert sum(restored.lifted.values()) == 1


@pytest.mark.parametrize(
    "name",
    ["stream/01_REVISION_DETAILS.ion", "revisions/kvs-nodejs_sampleRevisionResponse_seq429_v13.ion"],
)
def test_real_revisions_data_are_restored(name: str) -> None:
    value = ion.read_one((VECTORS / name).read_bytes())
    revision = value["payload"]["revision"] if "payload" in value else value
    metadata = {key: revision["metadata"][key] for key in ("id", "version", "txTime", "txId")}
    found = Restorer()._data(shown(revision["data"]), "", metadata, revision["hash"])

    assert ion_hash(found) == ion_hash(revision["data"])


def test_second_document_of_a_shape_needs_no_search() -> None:
    first, second = journal_of([read(DOCUMENT), read(DOCUMENT.replace("Ada", "Bob").replace("34.00", "14.00"))])
    restorer = Restorer()
    assert restorer.restore(shown(first)).block is not None
    tried = restorer.tried
    assert tried > 1

    assert restorer.restore(shown(second)).block is not None
    assert restorer.tried == tried


def test_types_that_change_over_time_are_followed() -> None:
    old, new = '{a: "x", at: "2020-01-01"}', "{a: x, at: 2020-01-01}"
    restorer = Restorer()

    restored = [restorer.restore(shown(block)) for block in journal_of(list(map(read, (old, old, new, new, old, new))))]

    assert all(one.block is not None for one in restored)
    assert len(restorer.learned) == 2  # one search for each of the two


@pytest.mark.parametrize(
    ("member", "value"),
    [("fee", "35.00"), ("name", '"Bob Fiction"'), ("points", "4"), ("issued", "2020-01-02T03:04:05.679Z")],
)
def test_tampered_value_is_never_accepted(member: str, value: str) -> None:
    block = journal_of([read(DOCUMENT)])[0]
    other = shown(journal_of([{**read(DOCUMENT), member: read(value)}])[0])
    forged = shown(block)
    forged["revisions"][0]["data"][member] = other["revisions"][0]["data"][member]

    restored = Restorer(budget=3_000).restore(forged)

    assert restored.block is None
    assert restored.lifted == {}
    assert [(one.table, one.version) for one in restored.held_out] == [("Licence", 0)]


@pytest.mark.parametrize("place", ["metadata", "transactionInfo", "hash", "entries", "dataHash"])
def test_tampered_block_is_never_accepted(place: str) -> None:
    forged = shown(journal_of([read(DOCUMENT)])[0])
    revision = forged["revisions"][0]
    if place == "metadata":
        revision["metadata"]["version"] = 1
    elif place == "transactionInfo":
        forged["transactionInfo"]["statements"][0]["statement"] += " "
    elif place == "hash":
        revision["hash"] = forged["blockHash"]
    elif place == "entries":
        forged["entriesHashList"].append(forged["blockHash"])
    else:
        revision["dataHash"] = forged["blockHash"]

    restored = Restorer(budget=20_000).restore(forged)

    assert restored.block is None
    assert len(restored.held_out) == 1


def test_wrong_hints_cost_time_and_never_truth() -> None:
    blocks = journal_of([read(DOCUMENT)])
    hints = "Licence.name: symbol\nLicence.fee: float, int\nLicence.events[].at: a::string\nLicence.status: blob, clob"
    misled, plain = Restorer(read_hints(hints, "hints")), Restorer()

    restored = misled.restore(shown(blocks[0]))

    assert restored.block is not None
    assert ion_hash(restored.block) == ion_hash(blocks[0])
    assert plain.restore(shown(blocks[0])).block is not None
    assert misled.tried > plain.tried


def test_right_hints_save_the_search() -> None:
    blocks = journal_of([read(DOCUMENT)])
    hints = """Licence.status: symbol\nLicence.ratio: float\nLicence.photo: blob\nLicence.note: null.string
Licence.events[].by: symbol"""
    restorer = Restorer(read_hints(hints, "hints"))

    assert restorer.restore(shown(blocks[0])).block is not None
    assert restorer.tried == 1


def test_ion_copy_of_a_block_teaches_types_and_annotations() -> None:
    first, second = journal_of(
        [read("{fee: money::34.00, a: x, b: y, c: z}"), read("{fee: money::1.00, a: q, b: r, c: s}")]
    )
    assert Restorer(budget=2_000).restore(shown(second)).block is None
    taught = Restorer()
    taught.observe(first)

    restored = taught.restore(shown(second))

    assert restored.block is not None
    assert taught.tried == 0
    assert ion_hash(restored.block) == ion_hash(second)


def test_what_holds_out_is_named_by_field_and_not_by_value() -> None:
    restored = Restorer(budget=500).restore(
        shown(journal_of([read("{fee: money::34.00, 'odd name': \"x\", n: 1}")])[0])
    )

    (held_out,) = restored.held_out
    assert (held_out.sequence_no, held_out.table, held_out.fields) == (0, "Licence", ("fee", '"odd name"', "n"))
    assert "34" not in str(held_out)


def test_budget_shrinks_for_a_shape_that_holds_out() -> None:
    restorer = Restorer(budget=1_000)
    tries = []
    for block in journal_of([read("{a: x::1, b: [null, null, null, null, null, null, null, null]}")] * 6):
        before = restorer.tried
        assert restorer.restore(shown(block)).block is None
        tries.append(restorer.tried - before)

    assert tries == [1_000, 500, 250, 125, 100, 100]


def test_value_nested_very_deeply_holds_out() -> None:
    block = shown(journal_of([read("{a: 1}")])[0])
    data: Any = "x"
    for _ in range(3_000):
        data = [data]
    block["revisions"][0]["data"] = {"a": data}

    assert Restorer().restore(block).block is None


@pytest.mark.parametrize("value", [{}, {"blockAddress": {"sequenceNo": 1}}, {"blockAddress": 1, "blockHash": "x"}])
def test_what_is_no_block_is_refused(value: Any) -> None:
    with pytest.raises(ShapeError):
        Restorer().restore(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("blockHash", "not base64!"), ("blockTimestamp", "yesterday"), ("entriesHashList", 1), ("revisions", [1]),
     ("revisions", [{"hash": 1}]), ("transactionInfo", {"statements": [1]}), ("revisions", 5)],
)  # fmt: skip
def test_odd_members_hold_out_and_do_not_raise(name: str, value: Any) -> None:
    block = {**shown(journal_of([read("{a: 1}")])[0]), name: value}

    restored = Restorer(budget=100).restore(block)

    assert restored.block is None
    assert restored.held_out


def test_restored_block_verifies_by_itself() -> None:
    restored = Restorer().restore(shown(journal_of([read(DOCUMENT)])[0]))

    checked = check_block(ion.read_one(ion.write(restored.block)))
    assert (checked.level, checked.faults, checked.omissions) == ("full", [], [])
