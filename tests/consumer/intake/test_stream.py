"""Batches into the store: any order, any repetition; what is refused takes nothing else with it."""

from datetime import timedelta
from random import Random

import psycopg
import pytest

from strandline.consumer.intake.stream import StreamIntake
from strandline.consumer.intake.stream_records import Received
from strandline.consumer.intake.writer import JournalWriter
from strandline.consumer.mark.gaps import gaps
from strandline.consumer.mark.mark import advance, read_mark
from strandline.consumer.store.streams import hear, read_streams
from strandline.journal.decode.objects import decode
from strandline.journal.decode.stream import block_records, control_record, revision_details
from tests.consumer.intake.records import changed_data
from tests.journals import STRAND, ion_binary, small_journal
from tests.streamed import ARN, streamed


@pytest.fixture
def intake(connection: psycopg.Connection[tuple[object, ...]]) -> StreamIntake:
    return StreamIntake(connection, stream="licences", shard="shard-1", origin=0, trust_deletions=False)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_repetition(intake: StreamIntake, seed: int) -> None:
    random, records = Random(seed), streamed()
    records += random.sample(records, 5)
    random.shuffle(records)
    for start in range(0, len(records), 4):
        taken = intake.take(records[start : start + 4])
    assert taken.mark == 8
    assert intake.take(records).blocks == 0


def test_what_does_not_verify_is_kept_and_shown(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    bad = changed_data()
    kept = [one for one in streamed() if one.data != bad.data]
    assert intake.take([kept[0], bad, *kept[1:]]).refused == 1
    rows = connection.execute("SELECT sequence_no, source, position, fault, record FROM journal.rejected").fetchall()
    assert rows == [(3, "licences/shard-1", "1.0", "revision-hash", bad.data)]


def test_the_mark_waits_for_what_was_refused_until_a_replay_covers_it(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    bad = changed_data()
    # Of block 3's revision only a copy comes whose data is not what its hash says.
    [good] = list(block_records(ARN, small_journal()[3]))[1:]
    assert intake.take([bad if one.data == good.data else one for one in streamed()]).mark == 2
    replayed = decode(ion_binary(small_journal()))
    assert replayed.rows is not None
    JournalWriter(connection).intake([replayed.rows], source="export")
    assert advance(connection).mark.sequence_no == 8
    assert connection.execute("SELECT count(*) FROM journal.rejected").fetchone() == (1,)


@pytest.mark.parametrize("first", ["stream", "export"])
def test_a_stream_that_starts_in_the_middle_and_an_export_meet_in_either_order(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]], first: str
) -> None:
    records = [one.data for block in small_journal()[4:] for one in block_records(ARN, block)]
    early = decode(ion_binary(small_journal()[:6]))  # two blocks come both ways
    assert early.rows is not None

    def take_stream() -> None:
        intake.take([Received(data, f"{at}.0") for at, data in enumerate(records)])

    def take_export() -> None:
        assert early.rows is not None
        store = JournalWriter(connection)
        store.begin_strand(STRAND, 0)
        store.intake([early.rows], source="export")
        advance(connection)

    take_stream() if first == "stream" else take_export()
    assert read_mark(connection).sequence_no == (-1 if first == "stream" else 5)
    assert gaps(connection) == ([(0, 3)] if first == "stream" else [])
    take_export() if first == "stream" else take_stream()
    assert (read_mark(connection).sequence_no, gaps(connection)) == (8, [])
    held = "SELECT (SELECT count(*) FROM journal.block), (SELECT count(*) FROM journal.revision)"
    assert connection.execute(held).fetchone() == (9, sum(len(revision_details(one)) for one in small_journal()))


def test_another_strand_is_refused_and_the_rest_taken(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    own, other = streamed(), streamed("Another000000000000000")
    taken = intake.take([*own[:2], *other, *own[2:]])
    assert (taken.mark, taken.refused) == (8, len(other))
    [(detail,)] = connection.execute("SELECT DISTINCT detail FROM journal.rejected").fetchall()
    assert STRAND in str(detail)
    assert "Another" in str(detail)


def test_stream_of_another_strand_is_a_fault_until_its_own_records_come(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    assert intake.take(streamed()[:4]).fault is None
    fault = intake.take(streamed("Another000000000000000")).fault
    assert fault is not None
    assert STRAND in fault
    assert "Another000000000000000" in fault
    [state] = read_streams(connection, timedelta(hours=1))
    assert state.fault == fault
    assert intake.take(streamed()[4:]).fault is None
    assert read_streams(connection, timedelta(hours=1))[0].fault is None


def test_batch_of_which_nothing_is_stored_is_a_fault(intake: StreamIntake) -> None:
    good, bad = streamed()[0], changed_data()
    assert intake.take([good, bad]).fault is None
    assert intake.take([good]).fault is None, "a repetition is no rejection"
    assert "(revision-hash)" in str(intake.take([bad]).fault)
    created = Received(control_record(ARN, "CREATED").data, "9.0")
    assert intake.take([bad, created]).fault is None


def test_a_record_that_postgresql_refuses_stops_no_other(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    connection.execute("ALTER TABLE journal.block ADD CONSTRAINT odd CHECK (sequence_no <> 4)")
    connection.commit()
    taken = intake.take(streamed())
    assert (taken.mark, taken.refused, taken.blocks) == (3, 1, 8)
    [(number, fault, detail)] = connection.execute("SELECT sequence_no, fault, detail FROM journal.rejected").fetchall()
    assert (number, fault) == (4, "refused")
    assert "23514" in str(detail)


def test_a_stream_is_live_silent_or_completed(
    intake: StreamIntake, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    soon, late = timedelta(0), timedelta(hours=1)
    assert read_streams(connection, late) == []
    intake.take([Received(control_record(ARN, "CREATED").data, "0.0"), *streamed()])
    assert [one.state for one in read_streams(connection, late)] == ["live"]
    assert [one.state for one in read_streams(connection, soon)] == ["silent"]
    intake.take([Received(control_record(ARN, "COMPLETED").data, "9.0")])
    [state] = read_streams(connection, soon)
    assert (state.name, state.state) == ("licences", "completed")
    hear(connection, "licences")
    [again] = read_streams(connection, soon)
    assert again.since == state.since
