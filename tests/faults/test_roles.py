"""Analysts see their read models and nothing else: checked for every relation of the database's catalogue,
so that what is added later is asked about too."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

from strandline.consumer.database.connection import connect
from strandline.consumer.database.migrate import migrate
from strandline.consumer.generations import generation
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.intake.replay import replay_sources
from strandline.consumer.mark.mark import advance
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import load_settings
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.sources.source import local_sources
from tests.databases import migrated_database, temporary_database

PROJECTIONS = {
    name: one for name, one in discover(("strandline.projections.licensing",)).items() if one.store == "postgresql"
}
ANALYSTS = {name for name, one in PROJECTIONS.items() if one.readers == "analysts"}
LINEAGE = {"read.provenance_results", "read.provenance_sources"}
EXPORTS = {"read.register_export", "read.complete_export", "read.forget_export"}
OURS = ("journal", "projection", "generation", "read", "ledger", "console", "control")
WORKER, ANALYST, CLEARED = "strandline_worker", "strandline_analyst", "strandline_cleared"
AUDITOR = "strandline_auditor"

RELATIONS = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')"""
FUNCTIONS = """
    SELECT p.oid::regprocedure::text, has_function_privilege(%s, p.oid, 'EXECUTE')
           AND has_schema_privilege(%s, n.oid, 'USAGE'), p.prosecdef
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND p.prorettype <> 'trigger'::regtype"""
TO_PUBLIC = """
    SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         aclexplode(c.relacl) AS granted
    WHERE granted.grantee = 0 AND n.nspname = ANY (%(ours)s)
    UNION ALL
    SELECT n.nspname FROM pg_namespace n, aclexplode(n.nspacl) AS granted
    WHERE granted.grantee = 0 AND n.nspname = ANY (%(ours)s)"""
WRITES = (
    "INSERT INTO {} DEFAULT VALUES",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "CREATE TRIGGER t BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
)
DENIED = (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState, errors.WrongObjectType)

Relation = tuple[str, str]


@pytest.fixture(scope="module")
def filled(postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("roles") / "journal"
    simulate(folder, 120, 3, Format.ION_BINARY)
    with migrated_database(postgres_url, migrated_template) as url:
        replay_sources(url, local_sources(str(folder / "full")), load_settings())
        project(url, PROJECTIONS)
        yield url


@pytest.fixture
def connection(filled: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(filled) as connection:
        yield connection
        connection.rollback()


def relations(connection: psycopg.Connection[tuple[object, ...]]) -> list[Relation]:
    return [(str(schema), str(name)) for schema, name in connection.execute(RELATIONS).fetchall()]


def may(connection: psycopg.Connection[tuple[object, ...]], role: str, statement: str, relation: Relation) -> bool:
    """Return True if the role may run the statement, which is rolled back."""
    connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(SQL(statement).format(Identifier(*relation)))  # type: ignore[arg-type]
        return True
    except DENIED:
        return False
    except psycopg.Error as exc:
        return exc.sqlstate is not None and not exc.sqlstate.startswith("42501")
    finally:
        connection.execute("RESET ROLE")


def visible(connection: psycopg.Connection[tuple[object, ...]], role: str) -> set[Relation]:
    return {one for one in relations(connection) if may(connection, role, "SELECT * FROM {} LIMIT 1", one)}


def test_an_analyst_sees_the_models_for_analysts_and_nothing_else(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    assert visible(connection, ANALYST) == {("read", name) for name in (*ANALYSTS, "read_models")}


def test_who_is_cleared_sees_every_model_and_the_ledger_as_well(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    seen = visible(connection, CLEARED)
    assert {schema for schema, _ in seen} == {"read", "ledger"}
    assert {name for schema, name in seen if schema == "read"} == {*PROJECTIONS, "read_models"}
    assert {name for schema, name in seen if schema == "ledger"} >= {"user_tables", "Licence", "_ql_committed_Licence"}
    assert {one for one in relations(connection) if one[0] in ("read", "ledger")} == seen


def test_auditor_reads_every_relation(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    sequences = {one for one in relations(connection) if one[1].endswith("_seq")}
    assert visible(connection, AUDITOR) == {one for one in relations(connection) if one[0] in OURS} - sequences


def test_public_has_nothing(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("CREATE ROLE strandline_nobody_test")  # undone with the transaction
    assert visible(connection, "strandline_nobody_test") == set()
    assert connection.execute(TO_PUBLIC, {"ours": list(OURS)}).fetchall() == []


@pytest.mark.parametrize("role", [ANALYST, CLEARED, AUDITOR])
def test_no_reader_may_write_or_make_anything(connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    done = [(one, sql) for one in relations(connection) for sql in WRITES if may(connection, role, sql, one)]
    # The roots that `digest` and `prove` derive, which `verify` computes again; and that a verification held, when.
    derived = [(("journal", name), WRITES[0]) for name in ("subroot", "verification")] if role == AUDITOR else []
    assert done == derived
    for schema in OURS:
        assert not may(connection, role, "CREATE TABLE {} ()", (schema, "made"))
    assert not may(connection, role, "CREATE SCHEMA {}", ("made",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "callable_"),
    [(ANALYST, LINEAGE), (CLEARED, LINEAGE | {"ledger.history", "read.ai_audit_alterations"})],
    ids=["analyst", "cleared"],
)
def test_no_reader_may_call_what_is_not_for_them(
    connection: psycopg.Connection[tuple[object, ...]], role: str, callable_: set[str]
) -> None:
    found = connection.execute(FUNCTIONS, [role, role]).fetchall()
    assert len(found) > 2
    own = {str(name).partition("(")[0] for name, allowed, as_owner in found if allowed and not as_owner}
    as_owner = {str(name).partition("(")[0] for name, allowed, as_owner in found if allowed and as_owner}
    assert own == callable_
    assert as_owner == EXPORTS  # they check what the login may do: tests/consumer/exports


@pytest.mark.parametrize("role", [ANALYST, CLEARED])
def test_reader_cannot_lock_the_strand(connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    for mode in ("ACCESS SHARE", "ROW EXCLUSIVE", "EXCLUSIVE"):
        for table in (("journal", "strand_lock"), ("journal", "mark"), ("journal", "revision")):
            assert not may(connection, role, f"LOCK TABLE {{}} IN {mode} MODE", table)


@pytest.mark.parametrize("role", [ANALYST, CLEARED])
def test_intake_goes_on_while_a_reader_holds_every_lock_it_may(
    connection: psycopg.Connection[tuple[object, ...]], filled: str, role: str
) -> None:
    """The advisory locks that intake once took among them."""
    connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    for key in (int.from_bytes(b"strand", "big"), int.from_bytes(b"strand", "big") + 1):
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
    connection.execute("SELECT pg_advisory_lock(hashtext('journal.ensure_partitions'))")
    with connect(filled) as other:
        other.execute("SET lock_timeout = '5s'")
        other.commit()
        assert advance(other).refused == []
        other.execute("SELECT journal.ensure_partitions(900000, 900000)")
        other.rollback()


def test_public_may_neither_connect_nor_call_functions(postgres_url: str) -> None:
    with temporary_database(postgres_url) as (name, url):
        migrate(url)
        with psycopg.connect(url) as connection:
            granted = connection.execute(
                "SELECT DISTINCT privilege_type FROM pg_database, aclexplode(datacl)"
                " WHERE datname = %s AND grantee = 0",
                [name],
            )
            assert granted.fetchall() == []
            public = connection.execute(
                "SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(p.proacl) AS granted"
                " WHERE granted.grantee = 0 AND p.pronamespace::regnamespace::text = ANY (%s)",
                [list(OURS)],
            )
            assert public.fetchall() == []
            default = "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.proacl IS NULL AND "
            assert (
                connection.execute(f"{default} pronamespace::regnamespace::text = ANY (%s)", [list(OURS)]).fetchall()
                == []
            )
            for role in (WORKER, ANALYST, CLEARED, AUDITOR):
                allowed = connection.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [role, name])
                assert allowed.fetchone() == (True,)


@pytest.mark.parametrize("role", [ANALYST, CLEARED])
def test_no_reader_may_become_another(connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    others = connection.execute("SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'MEMBER')", [role]).fetchall()
    assert {str(name) for (name,) in others} == {role}
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = %s"
    assert connection.execute(rights, [role]).fetchone() == (False,)


@pytest.mark.parametrize("role", [ANALYST, CLEARED])
def test_statistics_tell_nothing_of_the_payload(
    connection: psycopg.Connection[tuple[object, ...]], filled: str, role: str
) -> None:
    with psycopg.connect(filled, autocommit=True) as analyzing:
        analyzing.execute("ANALYZE")
    connection.execute(SQL("SET LOCAL ROLE {}").format(Identifier(role)))
    told = connection.execute("SELECT DISTINCT schemaname FROM pg_stats WHERE schemaname = ANY (%s)", [list(OURS)])
    assert told.fetchall() == []
    connection.execute("RESET ROLE")
    for relation, columns in restricted(connection).items():
        kept = connection.execute(
            "SELECT attname FROM pg_stats WHERE schemaname = 'generation' AND tablename = %s AND attname = ANY (%s)",
            [relation, columns],
        )
        assert kept.fetchall() == [], relation


def restricted(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, list[str]]:
    """The tables of restricted read models, and their payload columns."""
    found = {}
    for one in PROJECTIONS.values():
        if one.readers == "cleared":
            live = generation.live(connection, one)
            assert live is not None
            found[live.relation] = [column.name for column in one.columns]
    assert found
    return found


def test_the_check_itself_would_find_a_leak(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """A view that is granted by mistake, whatever it is called, shows."""
    connection.execute("CREATE VIEW read.leak AS SELECT * FROM journal.revision")
    connection.execute(SQL("COMMENT ON VIEW read.leak IS {}").format(Literal("test")))
    assert ("read", "leak") not in visible(connection, ANALYST)
    connection.execute("GRANT SELECT ON read.leak TO PUBLIC")
    assert ("read", "leak") in visible(connection, ANALYST)
    assert connection.execute(TO_PUBLIC, {"ours": list(OURS)}).fetchall() == [("read.leak",)]
