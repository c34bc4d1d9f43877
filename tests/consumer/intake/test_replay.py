"""Replay from end to end: every source, gaps and forgeries, resumption, and real kills."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from random import Random

import psycopg
import pytest

from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.settings import Settings
from strandline.consumer.verification.verify import verify_store
from strandline.journal.check import merkle
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import BlockMaker, NewRedaction, Statement, timestamp
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.simulation.strand import Simulated
from strandline.journal.sources.export import named_objects
from strandline.journal.sources.place import Folder, LocalFile
from strandline.journal.sources.source import Source, local_sources
from tests.consumer.intake.replays import contents, query, rejected, replay
from tests.consumer.verification.changes import (
    Change,
    change_data,
    lose_revision,
    other_table,
    write_export,
    write_records,
)
from tests.journals import ADA, STRAND, TABLE, Block, ion_binary, json_lines, small_journal

DIGEST = merkle.root([block["blockHash"] for block in small_journal()])


def level(url: str) -> set[str]:
    return {
        level for (level,) in query(url, "SELECT level FROM journal.block UNION SELECT level FROM journal.revision")
    }


def streamed(blocks: list[Block]) -> list[Block]:
    """As the stream had them: before any redaction."""
    blocks[2]["revisions"][1].pop("dataHash", None)
    blocks[2]["revisions"][1]["data"] = {"licenceId": "B1", "status": "Valid", "firstName": "Bob"}
    return blocks


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    folder = tmp_path_factory.mktemp("journal")
    return folder, simulate(folder, 600, seed=11, format=Format.ION_BINARY)


class TestSources:
    @pytest.mark.parametrize("parts", [["full"], ["late", "early"], ["stream"], ["stream", "late"], ["full", "stream"]])
    def test_every_source_gives_the_same_store(
        self, database: str, journal: tuple[Path, Simulated], parts: list[str]
    ) -> None:
        folder, made = journal
        result = replay(database, *(folder / part for part in parts))
        assert (result.mark, result.gaps, result.rejected) == (made.tip, [], 0)
        assert result.new_blocks == made.blocks
        assert len(result.sources) == len(parts)
        found = verify_store(database, workers=1)
        assert (found.ok, found.level, found.digest) == (True, "full", made.digest)
        assert found.revisions == made.revisions
        assert found.unexplained_redactions == 0
        states = "SELECT count(*), count(data), count(data_ion) FROM journal.revision WHERE state = 'redacted'"
        assert query(database, states) == [(made.redactions, 0, 0)]

    def test_a_second_replay_reads_nothing_again(self, database: str, journal: tuple[Path, Simulated]) -> None:
        folder, _ = journal
        addresses = [folder / "stream", folder / "full"]
        replay(database, *addresses)
        before = contents(database)
        result = replay(database, *addresses)
        assert (result.blocks, result.new_blocks, result.rejected) == (0, 0, 0)
        assert result.objects_skipped == sum(len(s.items) for a in addresses for s in local_sources(str(a)))
        assert contents(database) == before

    def test_json_first_and_ion_later(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_export(tmp_path / "json", small_journal(), json_lines))
        assert (result.mark, result.rejected) == (8, 0)
        assert level(database) == {"chain"}
        found = verify_store(database, workers=1)
        assert (found.ok, found.level, found.digest) == (True, "chain", DIGEST)
        result = replay(database, write_export(tmp_path / "ion", small_journal()))
        assert (result.new_blocks, result.rejected) == (0, 0)
        assert level(database) == {"full"}
        found = verify_store(database, workers=1)
        assert (found.ok, found.level, found.digest) == (True, "full", DIGEST)
        assert query(database, "SELECT DISTINCT kind, differs FROM journal.change") == [("upgraded", False)]
        assert query(database, "SELECT state, data FROM journal.revision WHERE state = 'redacted'") == [
            ("redacted", None)
        ]

    def test_json_that_was_changed_shows_when_ion_comes(self, database: str, tmp_path: Path) -> None:
        forged = small_journal()
        forged[3]["revisions"][0]["data"]["status"] = "Valid"
        replay(database, write_export(tmp_path / "json", forged, json_lines))
        replay(database, write_export(tmp_path / "ion", small_journal()))
        changes = query(database, "SELECT sequence_no FROM journal.change WHERE differs")
        assert changes == [(3,)]
        data = query(database, f"SELECT data FROM journal.revision WHERE document_id = '{ADA}' AND version = 1")
        assert data == [({"licenceId": "A1", "status": "Revoked"},)]


class TestRecords:
    def test_a_redaction_takes_effect_on_what_was_streamed_before(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_records(tmp_path / "stream", streamed(small_journal())))
        assert (result.mark, result.records["REVISION_DETAILS"]) == (8, 6)
        other = query(database, "SELECT state, data FROM journal.revision WHERE sequence_no = 2 ORDER BY state")
        assert [(state, data is None) for state, data in other] == [("normal", False), ("redacted", True)]

    @pytest.mark.parametrize(
        ("tamper", "expected"),
        [(other_table, (3, "tableInfo")), (change_data, (3, "revision-hash"))],
        ids=["tableInfo", "data"],
    )
    def test_the_mark_stops_at_a_false_record_and_goes_on_with_a_true_one(
        self, database: str, tmp_path: Path, tamper: Change, expected: tuple[int, str]
    ) -> None:
        result = replay(database, write_records(tmp_path / "false", streamed(small_journal()), tamper))
        assert result.mark == 2
        assert rejected(database) == [expected]
        result = replay(database, write_records(tmp_path / "true", streamed(small_journal())))
        assert (result.mark, result.rejected) == (8, 0)
        assert verify_store(database, workers=1).ok

    def test_an_export_brings_what_the_stream_lost(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_records(tmp_path / "stream", streamed(small_journal()), lose_revision))
        assert (result.mark, result.gaps, result.rejected) == (2, [], 0)
        assert replay(database, write_export(tmp_path / "export", small_journal()[3:4])).mark == 8

    def test_what_is_no_record_is_kept_and_shown(self, database: str, tmp_path: Path) -> None:
        folder = Path(write_records(tmp_path / "stream", streamed(small_journal())))
        (folder / "9999.bin").write_bytes(b"Eve, in a text file")
        result = replay(database, folder)
        assert (result.mark, result.rejected) == (8, 1)
        kept = query(database, "SELECT source, position, fault, record FROM journal.rejected")
        assert kept == [("9999.bin", "0", "unreadable", b"Eve, in a text file")]
        assert replay(database, folder).rejected == 1  # said again, kept once
        assert len(rejected(database)) == 1

    def test_a_file_that_cannot_be_read_takes_nothing_from_the_others(self, database: str, tmp_path: Path) -> None:
        folder = Path(write_records(tmp_path / "stream", streamed(small_journal())))
        sources = local_sources(str(folder))
        gone = sorted(folder.iterdir())[4]
        held = gone.read_bytes()
        gone.unlink()
        result = replay_sources(database, sources, Settings(origin=0, workers=1))
        assert (result.rejected, rejected(database)) == (1, [(None, "object")])
        gone.write_bytes(held)
        assert replay_sources(database, sources, Settings(origin=0, workers=1)).mark == 8


class TestGaps:
    def test_a_journal_that_starts_in_the_middle(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_export(tmp_path, small_journal()[4:]), origin=4)
        assert (result.mark, result.gaps, result.rejected) == (8, [], 0)
        found = verify_store(database, workers=1)
        assert (found.ok, found.first_no, found.digest) == (True, 4, None)

    def test_what_lies_below_the_origin_is_refused(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_export(tmp_path, small_journal()), origin=4)
        assert (result.mark, result.rejected) == (8, 4)
        assert {fault for _, fault in rejected(database)} == {"below-origin"}

    def test_without_the_origin_set_it_is_a_gap(self, database: str, tmp_path: Path) -> None:
        result = replay(database, write_export(tmp_path, small_journal()[4:]))
        assert (result.mark, result.gaps) == (None, [(0, 3)])

    def test_a_lost_block_is_told_and_a_later_replay_closes_the_gap(self, database: str, tmp_path: Path) -> None:
        blocks = small_journal()
        parts = [write_export(tmp_path / "a", blocks[:4]), write_export(tmp_path / "b", blocks[6:])]
        result = replay(database, *parts)
        assert (result.mark, result.gaps) == (3, [(4, 5)])
        result = replay(database, write_export(tmp_path / "lost", blocks[4:6]))
        assert (result.mark, result.gaps) == (8, [])

    def test_object_that_repeats_a_block_hides_no_gap(self, database: str, tmp_path: Path) -> None:
        blocks = small_journal()
        repeats = Path(write_records(tmp_path / "stream", [blocks[3], blocks[5], blocks[5]]))
        together = b"".join(file.read_bytes() for file in sorted(repeats.iterdir()))
        (tmp_path / "archive").mkdir()
        (tmp_path / "archive" / "0.bin").write_bytes(together)
        exports = [write_export(tmp_path / "a", blocks[:2]), write_export(tmp_path / "c", blocks[6:])]
        assert replay(database, *exports, str(tmp_path / "archive")).gaps == [(2, 2), (4, 4)]
        gapless = query(database, "SELECT first_no, last_no, gapless FROM journal.object ORDER BY 1")
        assert gapless == [(0, 1, True), (3, 5, False), (6, 8, True)]

    def test_an_accepted_gap_is_passed_over_and_closed_if_the_blocks_turn_up(
        self, database: str, tmp_path: Path
    ) -> None:
        blocks = small_journal()
        parts = [write_export(tmp_path / "a", blocks[:4]), write_export(tmp_path / "b", blocks[6:])]
        replay(database, *parts)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("INSERT INTO journal.accepted_gap VALUES (4, 5, 'lost')")
        result = replay(database, *parts)
        assert (result.mark, result.gaps, result.rejected) == (8, [], 0)
        found = verify_store(database, workers=1)
        assert (found.ok, found.accepted_gaps, found.digest) == (True, [(4, 5)], None)
        result = replay(database, write_export(tmp_path / "lost", blocks[4:6]))
        assert (result.new_blocks, result.rejected) == (2, 0)
        assert verify_store(database, workers=1).digest == DIGEST

    def test_a_forged_block_that_came_first_loses_to_the_chain(self, database: str, tmp_path: Path) -> None:
        blocks = small_journal()
        forged = write_export(tmp_path / "forged", [forge(small_journal()[4])])
        assert replay(database, forged).mark is None
        result = replay(database, write_export(tmp_path / "true", blocks))
        assert (result.mark, result.rejected) == (8, 1)  # by the mark, once the chain had decided
        assert rejected(database) == [(4, "fork")]
        assert replay(database, tmp_path / "true").rejected == 0
        result = replay(database, forged)
        assert (result.mark, result.rejected) == (8, 1)
        found = verify_store(database, workers=1)
        assert (found.ok, found.digest) == (True, DIGEST)

    def test_what_does_not_verify_stops_the_mark(self, database: str, tmp_path: Path) -> None:
        blocks = small_journal()
        blocks[3]["revisions"][0]["data"]["status"] = "Valid"
        bad = write_export(tmp_path / "bad", blocks)
        result = replay(database, bad)
        assert (result.mark, result.gaps, rejected(database)) == (2, [(3, 3)], [(3, "revision-hash")])
        assert replay(database, bad).rejected == 1  # an object with a fault is read again
        assert replay(database, write_export(tmp_path / "good", small_journal())).mark == 8

    def test_what_holds_the_mark_up_is_counted_once(self, database: str, tmp_path: Path) -> None:
        """The mark refuses it each time that it is moved: after each batch, and at the end."""
        maker = BlockMaker(STRAND, 9, small_journal()[-1]["blockHash"])
        misnamed = maker.make(
            transaction_id="Transaction99999999999",
            tx_time=timestamp(1_600_000_009_000),
            block_time=timestamp(1_600_000_009_007),
            statements=[Statement("EXEC redact_revision ?, ?, ?", timestamp(1_600_000_008_990))],
            redactions=[NewRedaction(8, TABLE, ADA, 2)],
        )
        result = replay(database, write_export(tmp_path, [*small_journal(), misnamed]))
        assert (result.mark, result.rejected, rejected(database)) == (8, 1, [(9, "redactionInfo")])

    def test_the_command_says_so(self, database: str, tmp_path: Path) -> None:
        blocks = small_journal()
        parts = [write_export(tmp_path / "a", blocks[:4]), write_export(tmp_path / "b", blocks[6:])]
        done = command(database, "replay", *parts, "--json")
        assert done.returncode == 1
        told = json.loads(done.stdout)
        assert (told["mark"], told["gaps"]) == (3, [[4, 5]])
        assert [one["relation"] for one in told["sources"]] == ["first", "gap"]
        done = command(database, "replay", write_records(tmp_path / "stream", streamed(blocks)), "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["records"] == {"BLOCK_SUMMARY": 9, "REVISION_DETAILS": 6}


def forge(block: Block) -> Block:
    """Another block of that number whose own hashes all hold."""
    block["entriesHashList"][0] = ion_hash("forged")
    block["entriesHash"] = merkle.root(block["entriesHashList"])
    block["blockHash"] = merkle.dot(block["entriesHash"], block["previousBlockHash"])
    return block


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "STRANDLINE_DATABASE_URL": url, "STRANDLINE_WORKERS": "2"}


def command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "strandline.cli", *arguments],
        env=environment(url), capture_output=True, text=True, check=False,
    )  # fmt: skip


def _wait_for_connection(url: str) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    until = time.monotonic() + 60
    while query(url, others) == [(0,)] and time.monotonic() < until:
        time.sleep(0.05)


@pytest.mark.parametrize("part", ["full", "stream"])
def test_killed_at_any_point_it_goes_on(database: str, tmp_path_factory: pytest.TempPathFactory, part: str) -> None:
    folder = tmp_path_factory.mktemp("large")
    made = simulate(folder, 3_000, seed=5, format=Format.ION_BINARY)
    chance = Random(part)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "strandline.cli", "replay", str(folder / part)],
            env=environment(database), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _wait_for_connection(database)
        time.sleep(chance.uniform(0.0, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = command(database, "replay", str(folder / part), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mark"] == made.tip
    found = verify_store(database, workers=1)
    assert (found.ok, found.digest, found.revisions) == (True, made.digest, made.revisions)
    assert rejected(database) == []


def _peak(url: str, folder: str) -> int:
    """The most memory held, in MB. Not `getrusage`'s: that begins with what the process that spawned this one held."""
    replay(url, folder)
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak) // 1024


@pytest.mark.parametrize("part", ["full", "stream"])
def test_memory_stays_flat(database: str, tmp_path: Path, part: str) -> None:
    """In one process, which then decodes too; each of several stays below what it needs."""
    simulate(tmp_path, 4_000, seed=1, format=Format.ION_BINARY)
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_peak, (database, str(tmp_path / part))) < 250


def test_ion_that_is_written_again_is_the_same_journal(database: str, tmp_path: Path) -> None:
    """One top-level value each, with a symbol table of its own, as a tool that copies block by block writes."""
    (tmp_path / f"{STRAND}.0-8.ion").write_bytes(b"".join(ion.write(block) for block in small_journal()))
    assert replay(database, tmp_path).mark == 8
    assert ion_binary(small_journal()) != (tmp_path / f"{STRAND}.0-8.ion").read_bytes()


def test_stored_object_is_not_read_again(
    journal: tuple[Path, Simulated], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = journal
    first = replay(database, folder / "full")
    monkeypatch.setattr(LocalFile, "read", lambda self: pytest.fail(f"{self.name} was read again"))
    again = replay_sources(database, sources_of_objects(folder / "full"), Settings())
    assert again.objects_skipped == len(list((folder / "full").rglob("*.ion")))
    assert (again.mark, again.new_blocks) == (first.mark, 0)
    assert again.sources[0].last_no == first.mark


@pytest.mark.parametrize("change", ["touched", "other size", "other address"])
def test_file_that_may_have_changed_is_read_again(tmp_path: Path, database: str, change: str) -> None:
    folder = tmp_path / "export"
    simulate(folder, 60, seed=12, format=Format.ION_BINARY)
    replay(database, folder / "full")
    [one, *_] = sorted((folder / "full").rglob("*.ion"))
    damaged = bytearray(one.read_bytes())
    damaged[-1] ^= 1
    found = one.stat()
    if change == "other size":
        one.write_bytes(damaged + b"\x0f")
        os.utime(one, ns=(found.st_atime_ns, found.st_mtime_ns))
    elif change == "touched":
        one.write_bytes(damaged)
        os.utime(one, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    else:
        one = one.with_name("Other" + one.name)
        one.write_bytes(damaged)
        os.utime(one, ns=(found.st_atime_ns, found.st_mtime_ns))
    sources = sources_of_objects(folder / "full")
    again = replay_sources(database, sources, Settings())
    assert again.objects_skipped == len(sources[0].items) - 1
    assert again.rejected


def sources_of_objects(folder: Path) -> list[Source]:
    """The source without its manifest, which is always read."""
    return [Source(str(folder), "export", named_objects(list(Folder(folder).files())))]
