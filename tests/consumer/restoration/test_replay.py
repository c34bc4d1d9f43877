"""`replay --restore` finds the types on the way in; `status` and `verify` count what was lifted and what holds out."""

import json
from pathlib import Path

import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.store.restored import read_restored, record_restored, sum_up_json
from strandline.journal.decode.kernel import decode
from strandline.journal.make.export import encode
from strandline.journal.make.format import Format
from strandline.journal.restore import decoding
from strandline.journal.restore.block import Restorer
from strandline.journal.restore.decoding import RestoredDecoded, RestoringDecoder
from strandline.journal.restore.hints import Hints
from strandline.journal.restore.objects import RestoredObject
from strandline.journal.simulation.simulate import simulate
from tests.commands import Run
from tests.consumer.restoration.exports import write_export
from tests.journals import small_journal

LEVELS = "SELECT level, count(*) FROM journal.block GROUP BY 1 ORDER BY 1"


def levels(url: str) -> list[tuple[str, int]]:
    with connect(url) as connection:
        return connection.execute(LEVELS).fetchall()


@pytest.mark.parametrize("stored_before", [False, True])
def test_json_is_stored_at_full(run: Run, database: str, tmp_path: Path, stored_before: bool) -> None:
    journal = simulate(tmp_path / "json", 60, 4, Format.JSON)
    if stored_before:
        assert run("replay", str(tmp_path / "json/full")).status == 0
        assert levels(database) == [("chain", 60)]

    replayed = run("replay", str(tmp_path / "json/full"), "--restore", "--json")

    assert replayed.status == 0, replayed.err
    assert levels(database) == [("full", 60)]
    lifted = json.loads(replayed.out)["restored"]["lifted"]
    assert sum(lifted.values()) > 40
    verified = run("verify", "--require", "full", "--digest", str(tmp_path / "json/full.digest.json"), "--json")
    assert verified.status == 0, verified.err
    assert json.loads(verified.out)["restored"] == {"lifted": lifted, "held_out": []}
    again = run("replay", str(tmp_path / "json/full"), "--restore", "--json")
    assert json.loads(again.out)["restored"]["lifted"] == lifted
    assert json.loads(again.out)["new_blocks"] == 0
    assert json.loads(again.out)["objects_skipped"] > 0
    assert "Restored from JSON" in run("status").out
    assert journal.blocks == 60


def test_what_holds_out_is_shown_until_a_hint_lifts_it(run: Run, database: str, tmp_path: Path) -> None:
    write_export(tmp_path / "json", ["{a: 1}", "{a: x::1}", "{a: 2}"])
    arguments = ("replay", str(tmp_path / "json"), "--restore", "--budget", "100")

    assert run(*arguments).status == 0
    found = json.loads(run("status", "--json").out)["restored"]
    assert levels(database) == [("chain", 1), ("full", 2)]
    assert found == {"lifted": {"Licence": 2}, "held_out": [{"table": "Licence", "field": "a", "revisions": 1}]}
    assert "Licence.a (1)" in run("status").out

    (tmp_path / "types.hints").write_text("Licence.a: x::int\n")
    assert run(*arguments, "--hints", str(tmp_path / "types.hints")).status == 0
    assert json.loads(run("status", "--json").out)["restored"] == {"lifted": {"Licence": 3}, "held_out": []}
    assert levels(database) == [("full", 3)]


def test_only_objects_that_hold_out_are_searched_again(
    run: Run, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revisions that the store has as Ion by then teach its types."""
    searched = list[int]()
    restore = decoding.restore_object

    def counted(data: bytes, restorer: Restorer) -> RestoredObject:
        found = restore(data, restorer)
        searched.append(found.blocks)
        return found

    monkeypatch.setattr(decoding, "restore_object", counted)
    documents = ["{a: x::1}", "{b: 1}", "{b: 2}", "{a: x::5}"]
    write_export(tmp_path / "json", documents, 1)
    arguments = ("replay", str(tmp_path / "json"), "--restore", "--budget", "100", "--json")
    first = json.loads(run(*arguments).out)
    assert first["restored"]["held_out"] == [{"table": "Licence", "field": "a", "revisions": 2}]
    assert len(searched) == 4 + 2  # those that hold out once more, with what the others taught
    searched.clear()
    again = json.loads(run(*arguments).out)
    assert len(searched) == 2 + 2
    assert again["objects_skipped"] == 2
    write_export(tmp_path / "ion", documents, 1, Format.ION_BINARY)
    (last,) = (tmp_path / "ion").rglob("*.3-3.ion")
    assert run("replay", str(last)).status == 0
    assert levels(database) == [("chain", 1), ("full", 3)]
    assert json.loads(run(*arguments).out)["restored"]["held_out"] == []
    assert levels(database) == [("full", 4)]


def test_what_later_objects_teach_is_tried_on_earlier_ones(run: Run, database: str, tmp_path: Path) -> None:
    """The first document has too many open fields for the budget; the next ones teach them two at a time."""
    hard = '{a: s, b: "s", c: s, d: "s", e: s, f: "s", g: s, h: "s"}'
    easy = ['{a: s, b: "s"}', '{c: s, d: "s"}', '{e: s, f: "s"}', '{g: s, h: "s"}']
    write_export(tmp_path / "alone", [hard])
    write_export(tmp_path / "json", [hard, *easy], 1)

    found = run("replay", str(tmp_path / "json"), "--restore", "--budget", "64", "--json")

    assert levels(database) == [("full", 5)]
    done = json.loads(found.out)
    assert done["restored"] == {"lifted": {"Licence": 5}, "held_out": []}
    assert (done["blocks"], done["new_blocks"], done["rejected"]) == (5, 5, 0)
    assert not RestoringDecoder(Hints(), 64)(next((tmp_path / "alone").rglob("*.json")).read_bytes()).links[0].full


def test_an_ion_copy_of_some_blocks_is_a_hint(run: Run, database: str, tmp_path: Path) -> None:
    write_export(tmp_path / "json", ["{a: x::1}", "{a: x::2}"])
    write_export(tmp_path / "ion", ["{a: x::7}"], form=Format.ION_BINARY)
    arguments = ("replay", str(tmp_path / "json"), "--restore", "--budget", "100")
    assert run(*arguments, "--hints", str(tmp_path / "ion")).status == 0
    assert levels(database) == [("full", 2)]


def test_the_sum_follows_what_changes(run: Run, database: str, tmp_path: Path) -> None:
    """Status reads only rows above the sum, and every row again once a block below it was upgraded."""
    write_export(tmp_path / "json", ["{a: 1}", "{a: x::1}", "{a: 2}"])
    write_export(tmp_path / "ion", ["{a: 1}", "{a: x::1}", "{a: 2}"], form=Format.ION_BINARY)
    assert run("replay", str(tmp_path / "json"), "--restore", "--budget", "100").status == 0
    with connect(database) as connection:
        assert connection.execute("SELECT through_no, lifted FROM journal.json_sum").fetchone() == (
            2,
            {"Licence": 2},
        )
        counted = read_restored(connection)
        connection.execute("DELETE FROM journal.restored_block WHERE sequence_no = 0")
        assert read_restored(connection) == counted  # not read
        connection.rollback()
    assert run("replay", str(tmp_path / "ion")).status == 0
    with connect(database) as connection:
        assert read_restored(connection) == ({"Licence": 2}, [])
        sum_up_json(connection, 2)
        assert read_restored(connection) == ({"Licence": 2}, [])
        record_restored(connection, {1: {}}, [(1, "Licence", ("a",))])
        record_restored(connection, {1: {"Licence": 1}}, [])
        assert connection.execute("SELECT through_no FROM journal.json_sum").fetchone() == (-1,)
        assert read_restored(connection) == ({"Licence": 3}, [])


def test_hints_without_restore_are_refused(run: Run, tmp_path: Path) -> None:
    write_export(tmp_path / "json", ["{a: 1}"])

    outcome = run("replay", str(tmp_path / "json"), "--hints", "x.hints")

    assert outcome.status == 2
    assert "--restore" in outcome.err


def test_restored_object_decodes_as_its_ion_does() -> None:
    blocks = small_journal()
    decoder = RestoringDecoder(Hints(), 1_000)

    found, expected = decoder(encode(blocks, Format.JSON)), decode(encode(blocks, Format.ION_BINARY))

    assert isinstance(found, RestoredDecoded)
    assert (found.rows, found.links, found.named, found.redacted) == (
        expected.rows,
        expected.links,
        expected.named,
        expected.redacted,
    )
    assert found.faults == []


def test_runs_of_two_formats_are_joined_in_order() -> None:
    blocks = small_journal()
    text = encode(blocks, Format.JSON).decode()
    changed = text.replace('"status":"Revoked"', '"status":"Changed"', 1)

    found = RestoringDecoder(Hints(), 50)(changed.encode())

    assert isinstance(found, RestoredDecoded)
    assert [link.sequence_no for link in found.links] == list(range(9))
    assert [link.full for link in found.links].count(False) == 1
    assert found.rows is not None
    assert (found.rows.first_no, found.rows.last_no, found.rows.in_order) == (0, 8, True)
    assert found.rows.tally.counts.keys() == decode(text.encode()).rows.tally.counts.keys()  # type: ignore[union-attr]


@pytest.mark.parametrize("data", [b"{", b'{"a":1}', b"nothing", b""])
def test_what_is_no_export_has_its_usual_faults(data: bytes) -> None:
    assert RestoringDecoder(Hints(), 50)(data).faults == decode(data).faults
