"""All projections over one journal: generations, readers, failures, what status and retry say."""

import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from strandline.consumer.database.connection import connect
from strandline.consumer.generations.first_generation import ensure_served
from strandline.consumer.generations.lifecycle import project, retry
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.state import ProjectionStatus, parked, statuses
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.projection.definition import BlockProjection, Column, Projection, RowProjection, Unprojectable
from strandline.consumer.projection.discovery import discover
from strandline.journal.errors import StrandlineError, UsageError
from tests.definitions import redefine
from tests.strand_rows import StrandRows

LICENSING = discover(["strandline.projections.licensing", "strandline.projections.ledger_activity"])
OPEN = {"licence_register", "licence_points", "ledger_activity"}
REGISTER = LICENSING["licence_register"]
ADA = {"licenceId": "L-1", "contactId": "c", "firstName": "Ada", "lastName": "Byron", "street": "1 Mill Lane",
       "county": "Kent", "postcode": "CT1", "status": "ACTIVE", "userId": "u", "events": [{"n": 1}]}  # fmt: skip


def named(*projections: Projection) -> dict[str, Projection]:
    return {projection.name: projection for projection in projections}


def status(connection: psycopg.Connection[Any], projection: Projection) -> ProjectionStatus:
    (found,) = statuses(connection, [projection])
    return found


def licensing(strand: StrandRows) -> None:
    strand.block(kinds=["CREATE"])
    strand.block(("a", 0, "Licence", ADA), ("b", 0, "Licence", {**ADA, "licenceId": "L-2"}), kinds=["INSERT"])
    strand.block(("c", 0, "Contact", {"licenceId": "L-1", "email": "ada@example.org", "mobile": 7, "userId": "u"}))
    strand.block(("a", 1, "Licence", {**ADA, "county": 7, "status": "REVOKED"}))
    strand.block(("b", 1, "Licence", None), kinds=["DELETE"])
    strand.block(redact=("a", 0), kinds=["EXEC"])


def endorsed(strand: StrandRows) -> None:
    strand.block(
        ("e", 0, "Endorsement", {"endorsementId": "E-1", "points": 3}),
        ("m", 0, "Mapping", {"licenceId": "L-1", "endorsementId": "E-1"}),
    )


def test_readers_are_compared_with_the_declaration(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    """A role that may no longer read loses the view at once; one that newly may gets it with the new declaration."""

    def analysts_may_read() -> bool:
        statement = "SELECT has_table_privilege('strandline_analyst', 'read.licence_register', 'SELECT')"
        return connection.execute(statement).fetchone() == (True,)

    licensing(strand)
    restricted = replace(REGISTER, readers="cleared")
    project(database, named(REGISTER))
    assert analysts_may_read()
    project(database, named(restricted))
    assert not analysts_may_read()
    assert status(connection, restricted).state == "needs_rebuild"
    project(database, named(REGISTER))  # taken back: it is what the generation was built with
    assert analysts_may_read()
    project(database, named(restricted))
    assert rebuild(database, named(restricted), REGISTER.name).swapped
    project(database, named(replace(REGISTER, columns=(*REGISTER.columns, Column("more", "text", "")))))
    assert not analysts_may_read()


def test_licence_read_models_follow_the_ledger(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    licensing(strand)
    project(database, LICENSING)

    def read(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query).fetchall()

    assert read("SELECT licence_id, status, county, source_document, source_version FROM read.licence_register") == [
        ("L-1", "REVOKED", None, "a", 1)
    ]
    history = (
        "SELECT licence_id, state, last_name, events, transaction_id FROM read.licence_history ORDER BY source_block, 1"
    )
    assert read(history) == [
        ("L-2", "normal", "Byron", [{"n": 1}], "tx1"),
        (None, "redacted", None, None, "tx1"),
        ("L-1", "normal", "Byron", [{"n": 1}], "tx3"),
        (None, "deleted", None, None, "tx4"),
    ]
    assert read("SELECT licence_id, email, mobile, user_id FROM read.contact_directory") == [
        ("L-1", "ada@example.org", None, "u")
    ]
    activity = "SELECT sequence_no, statement_kinds, tables, revisions, redactions FROM read.ledger_activity ORDER BY 1"
    assert read(activity) == [
        (0, ["CREATE"], [], 0, 0),
        (1, ["INSERT"], ["Licence"], 2, 0),
        (2, ["UPDATE"], ["Contact"], 1, 0),
        (3, ["UPDATE"], ["Licence"], 1, 0),
        (4, ["DELETE"], ["Licence"], 1, 0),
        (5, ["EXEC"], [], 0, 1),
    ]


def test_licence_points_are_counted_when_queried(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    dates = {"past": ("2001-01-01", "2005-01-01"), "now": ("2001-01-01", "2901-01-01"), "none": (None, None)}
    for number, (licence, when, points) in enumerate(
        [("L-1", "now", 3), ("L-1", "past", 6), ("L-1", "now", 4), ("L-2", "none", 3), ("L-2", "now", 3),
         ("L-3", "past", "many"), ("L-4", "now", "many")]
    ):  # fmt: skip
        key = f"E-{number}"
        issued, expires = dates[when]
        endorsement = {"endorsementId": key, "points": points, "issueDtm": issued, "expiryDtm": expires}
        strand.block(
            (f"l{number}", 0, "Licence", {"licenceId": licence}),
            (f"e{number}", 0, "Endorsement", endorsement),
            (f"m{number}", 0, "Mapping", {"licenceId": licence, "endorsementId": key}),
        )
    project(database, LICENSING)
    statement = "SELECT licence_id, in_force, points_in_force FROM read.licence_points ORDER BY endorsement_id"
    assert connection.execute(statement).fetchall() == [
        ("L-1", True, 7), ("L-1", False, 7), ("L-1", True, 7), ("L-2", None, None), ("L-2", True, None),
        ("L-3", False, 0), ("L-4", True, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "readable"),
    [
        ("strandline_analyst", OPEN),
        ("strandline_cleared", {*OPEN, "licence_history", "contact_directory"}),
    ],
)
def test_readers_see_only_their_read_models(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str, role: str, readable: set[str]
) -> None:
    licensing(strand)
    endorsed(strand)
    project(database, LICENSING)
    relations = connection.execute("SELECT relation FROM projection.generation").fetchall()
    others = [("generation", name) for (name,) in relations]
    others += [("projection", "generation"), ("projection", "parked"), ("journal", "revision"), ("journal", "mark")]
    with connect(database, autocommit=True, role=role) as reading:
        for name in LICENSING:
            if name in readable:
                assert reading.execute(SQL("SELECT * FROM {}").format(Identifier("read", name))).fetchall()
            elif LICENSING[name].store == "postgresql":
                others.append(("read", name))
        for schema, name in others:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reading.execute(SQL("SELECT FROM {}").format(Identifier(schema, name)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reading.execute("DELETE FROM read.licence_register")


def test_view_has_comments_for_analysts(connection: psycopg.Connection[Any], strand: StrandRows, database: str) -> None:
    licensing(strand)
    project(database, named(REGISTER))
    view = "'read.licence_register'::regclass"
    row = connection.execute(f"SELECT obj_description({view}), col_description({view}, 1)").fetchone()
    assert row == (REGISTER.purpose, REGISTER.columns[0].description)
    sources = connection.execute(
        f"SELECT attname, col_description({view}, attnum) FROM pg_attribute"
        f" WHERE attrelid = {view} AND attname LIKE 'source%' ORDER BY 1"
    ).fetchall()
    assert sources == [
        ("source_block", "The last block that the row reflects."),
        ("source_document", "The document that the row comes from."),
        ("source_version", "The document's version."),
    ]


def test_projection_without_tables_in_the_ledger_is_idle(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    contacts = replace(LICENSING["contact_directory"], rows=lambda one: [{"licence_id": one.text("licenceId")}])
    project(database, named(contacts))  # nothing is there at all
    strand.block(("a", 0, "Licence", ADA))
    project(database, named(contacts))
    assert status(connection, contacts) == ProjectionStatus(
        "contact_directory", "postgresql", None, None, "idle", 0, 0.0, 0, False, None
    )
    strand.block(("c", 0, "Contact", {"licenceId": "L-1"}))
    project(database, named(contacts))
    assert status(connection, contacts).state == "live"
    assert connection.execute("SELECT licence_id FROM read.contact_directory").fetchall() == [("L-1",)]


def test_samples_for_other_ledgers_have_no_status(connection: psycopg.Connection[Any], database: str) -> None:
    """A user's own ledger shows no sample read model that it does not fill, whether its store is on or off."""
    samples = discover(["strandline.projections"])
    own = replace(REGISTER, name="own", tables=("Parcel",), rows=lambda _: [])
    everything = [*samples.values(), own]
    assert [one.name for one in statuses(connection, everything)] == ["own"]
    strand = StrandRows(connection)
    strand.block(("p", 0, "Order", {}))
    assert [(one.name, one.state) for one in statuses(connection, everything)] == [
        ("ledger_activity", "idle"),
        ("own", "idle"),
    ]
    strand.block(("a", 0, "Licence", ADA))
    project(database, samples)
    assert {one.name: one.state for one in statuses(connection, everything)} == {
        "ledger_activity": "live",
        "licence_history": "live",
        "licence_points": "live",
        "licence_register": "live",
        "licence_search": "off",
        "own": "idle",
    }


def test_failing_projection_stops_no_other(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    licensing(strand)
    project(database, LICENSING)
    connection.execute("DROP VIEW read.licence_history")
    relation = connection.execute("SELECT relation FROM projection.generation WHERE projection = 'licence_history'")
    connection.execute(SQL("DROP TABLE generation.{}").format(Identifier(*relation.fetchone() or ())))
    strand.block(("a", 2, "Licence", ADA))
    project(database, LICENSING)
    assert status(connection, REGISTER).lag_blocks == 0
    broken = status(connection, LICENSING["licence_history"])
    assert (broken.state, broken.failure) == ("failing", "UndefinedTable (SQLSTATE 42P01)")
    assert (broken.position, broken.lag_blocks, broken.lag_seconds) == (5, 1, 1.0)


def test_foreign_view_of_the_same_name_stops_no_other_projection(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    licensing(strand)
    connection.execute("CREATE VIEW read.contact_directory AS SELECT 1 AS one")
    with pytest.raises(StrandlineError, match=r"read\.contact_directory is not of a read model"):
        project(database, LICENSING)
    assert connection.execute("SELECT one FROM read.contact_directory").fetchone() == (1,)
    assert [one.name for one in statuses(connection, LICENSING.values()) if one.state == "live"] == [
        "ledger_activity",
        "licence_history",
        "licence_points",
        "licence_register",
    ]


def test_generation_of_another_definition_is_not_filled(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strand.block(("a", 0, "Licence", ADA), ("b", 0, "Licence", {}))
    project(database, named(REGISTER))
    strand.block(("a", 1, "Licence", ADA))
    redefine(monkeypatch, lambda _: "another")
    project(database, named(REGISTER))
    found = status(connection, REGISTER)
    assert (found.state, found.needs_rebuild, found.position, found.parked) == ("needs_rebuild", True, 0, 1)
    with pytest.raises(StrandlineError, match="strandline rebuild licence_register"):
        retry(database, named(REGISTER), "licence_register")


def test_parked_documents_are_listed_and_retried(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    strand.block(("a", 0, "Licence", {**ADA, "licenceId": 7}), ("b", 0, "Licence", ADA))
    project(database, named(REGISTER))
    (waiting,) = parked(connection)
    assert (waiting.projection, waiting.key, waiting.version, waiting.sequence_no, waiting.reason) == (
        "licence_register",
        "a",
        0,
        0,
        "licenceId is missing or not text",
    )
    assert status(connection, REGISTER).parked == 1
    result = retry(database, LICENSING, "licence_register")
    assert (result.retried, result.parked) == (1, 1)
    # The data is what it takes now.
    connection.execute("UPDATE journal.revision SET data = %s WHERE document_id = 'a'", [Jsonb(ADA)])
    result = retry(database, LICENSING, "licence_register")
    assert (result.retried, result.parked) == (1, 0)
    assert len(connection.execute("SELECT FROM read.licence_register").fetchall()) == 2
    with pytest.raises(UsageError, match="no projection 'nope'; there are contact_directory"):
        retry(database, LICENSING, "nope")


def test_change_below_the_position_needs_a_rebuild(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    licensing(strand)
    project(database, LICENSING)
    connection.execute("UPDATE projection.generation SET position = 2 WHERE projection = 'licence_register'")
    connection.execute("INSERT INTO journal.change (sequence_no, kind) SELECT 4, 'upgraded' WHERE false")
    assert not status(connection, LICENSING["ledger_activity"]).needs_rebuild
    connection.execute("INSERT INTO journal.change (sequence_no, kind) VALUES (4, 'upgraded')")
    assert status(connection, LICENSING["ledger_activity"]).needs_rebuild
    assert not status(connection, REGISTER).needs_rebuild


def test_change_waits_for_a_batch_that_may_not_have_seen_it(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    licensing(strand)
    project(database, named(REGISTER))
    connection.execute("UPDATE projection.generation SET position = 2")
    change = threading.Thread(
        target=connection.execute, args=["INSERT INTO journal.change (sequence_no, kind) VALUES (4, 'upgraded')"]
    )
    with connect(database) as batch:
        batch.execute("SELECT FROM projection.generation FOR UPDATE")
        change.start()
        change.join(0.3)
        assert change.is_alive()
        batch.execute("UPDATE projection.generation SET position = 5")
    change.join()
    assert status(connection, REGISTER).needs_rebuild


def test_concurrent_starts_create_one_generation(strand: StrandRows, database: str) -> None:
    strand.block(("a", 0, "Licence", ADA))
    made = []

    def make() -> None:
        with connect(database) as own:
            made.append(ensure_served(database, own, REGISTER, DATABASE_ONLY))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1


def test_progress_is_reported(strand: StrandRows, database: str) -> None:
    licensing(strand)
    told: list[tuple[str, int, int]] = []
    project(database, named(REGISTER), progress=lambda *step: told.append(step))
    assert told[0] == ("licence_register, documents", 1, 1)
    assert told[-1] == ("licence_register", 6, 6)


def test_errors_and_control_rows_hold_no_payload(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    def careless(revision: Any) -> Any:
        if revision.version:
            return [{"label": revision.data["secret"], revision.data["secret"]: 1}]
        raise KeyError(revision.data["secret"])

    projection = RowProjection(
        "careless", "Test.", ("T",), "history", "cleared", (Column("label", "text", ""),), careless
    )
    strand.block(("a", 0, "T", {"secret": "Ada Byron"}), ("b", 1, "T", {"secret": "Ada Byron"}))
    project(database, named(projection))
    assert len(parked(connection)) == 2
    for table in ("projection.parked", "projection.generation"):
        for row in connection.execute(SQL("SELECT * FROM {}").format(Identifier(*table.split(".")))):
            assert "Ada" not in repr(row)


def test_block_projection_needs_no_tables(
    connection: psycopg.Connection[Any], strand: StrandRows, database: str
) -> None:
    def refuse(_: object) -> Any:
        raise Unprojectable("never")

    strand.block()
    projection = BlockProjection("refusing", "Test.", "analysts", (Column("label", "text", ""),), refuse)
    project(database, named(projection))
    assert status(connection, projection).parked == 1
