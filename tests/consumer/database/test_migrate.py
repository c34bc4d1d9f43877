import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from strandline.consumer.database.migrate import migrate
from strandline.journal.errors import StrandlineError

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'strandline_worker') THEN
        CREATE ROLE strandline_worker NOLOGIN;
    END IF;
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO strandline_worker', current_database());
END $$;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_roles.sql").write_text(ROLES)
    (tmp_path / "0002_things.sql").write_text("CREATE TABLE journal.thing (); CREATE TABLE journal.other ();")
    (tmp_path / "notes.txt").write_text("not a migration")
    return tmp_path


def _column(url: str, query: str) -> list[object]:
    with psycopg.connect(url) as conn:
        return [row[0] for row in conn.execute(query.encode())]


def test_applies_each_once_in_order(empty_database: str, folder: Path) -> None:
    assert migrate(empty_database, folder) == ["0001_roles.sql", "0002_things.sql"]
    assert migrate(empty_database, folder) == []
    (folder / "0010_more.sql").write_text("CREATE TABLE journal.tenth ()")
    (folder / "0009_more.sql").write_text("CREATE TABLE journal.ninth ()")
    assert migrate(empty_database, folder) == ["0009_more.sql", "0010_more.sql"]
    assert _column(empty_database, "SELECT number FROM journal.migration ORDER BY applied_at, number") == [1, 2, 9, 10]


def test_all_belongs_to_the_worker(empty_database: str) -> None:
    assert migrate(empty_database)[0] == "0001_roles.sql"
    assert migrate(empty_database) == []
    query = """SELECT DISTINCT relowner::regrole::text FROM pg_class
               WHERE relnamespace IN ('journal'::regnamespace, 'projection'::regnamespace)
               UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname IN ('journal', 'read', 'ledger')"""
    assert _column(empty_database, query) == ["strandline_worker"]


def test_failure_undoes_its_file_alone(empty_database: str, folder: Path) -> None:
    (folder / "0003_wrong.sql").write_text("CREATE TABLE journal.half (); SELECT 'a name'::int")
    with pytest.raises(StrandlineError, match=r"0003_wrong.sql failed") as caught:
        migrate(empty_database, folder)
    assert "a name" not in str(caught.value)
    assert _column(empty_database, "SELECT name FROM journal.migration") == ["0001_roles.sql", "0002_things.sql"]
    assert _column(empty_database, "SELECT to_regclass('journal.half')") == [None]


def test_changed_file_is_refused(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder)
    (folder / "0002_things.sql").write_text("CREATE TABLE journal.thing (a int)")
    with pytest.raises(StrandlineError, match=r"0002_things.sql has changed"):
        migrate(empty_database, folder)


def test_newer_database_is_refused(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder)
    (folder / "0002_things.sql").unlink()
    with pytest.raises(StrandlineError, match="upgrade Strandline"):
        migrate(empty_database, folder)


def test_two_at_once_in_one_database(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty_database] * 4))
    assert sorted(bool(names) for names in applied) == [False, False, False, True]


def test_two_databases_of_one_server_at_once(postgres_url: str) -> None:
    names = [f"test_{uuid.uuid4().hex}" for _ in range(3)]
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        for name in names:
            conn.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            with ThreadPoolExecutor(3) as pool:
                applied = list(pool.map(migrate, [make_conninfo(postgres_url, dbname=name) for name in names]))
        finally:
            for name in names:
                conn.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
    assert all(applied)
    assert len({tuple(names) for names in applied}) == 1


def test_roles_made_meanwhile_in_another_database(empty_database: str, tmp_path: Path) -> None:
    """The first attempt loses the race for a role, as PostgreSQL reports it; the next finds the role there."""
    name = f"test_{uuid.uuid4().hex}"
    tolerant = f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
                CREATE ROLE {name};
                PERFORM pg_sleep(0.5);
            END IF;
        END $$;"""
    (tmp_path / "0001_roles.sql").write_text(tolerant + ROLES)
    with psycopg.connect(empty_database) as other, ThreadPoolExecutor(1) as pool:
        other.execute(f"CREATE ROLE {name}".encode())
        racing = pool.submit(migrate, empty_database, tmp_path)
        with pytest.raises(TimeoutError):
            racing.result(timeout=0.5)
        other.commit()
        assert racing.result(timeout=30) == ["0001_roles.sql"]
        other.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def login(empty_database: str) -> Iterator[str]:
    """URL with a login of no rights but CREATEROLE."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(empty_database, autocommit=True) as conn:
        create = SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(Identifier(name), Literal("x"))
        conn.execute(create)
        yield make_conninfo(empty_database, user=name, password="x")
        conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def test_login_without_rights_is_told_which(login: str) -> None:
    with pytest.raises(StrandlineError, match="CREATEROLE"):
        migrate(login)


def test_login_of_an_administrators_database(empty_database: str, login: str) -> None:
    """An administrator migrates; a login that is a member of the role finds nothing to do."""
    migrate(empty_database)
    user = psycopg.conninfo.conninfo_to_dict(login)["user"]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(SQL("GRANT strandline_worker TO {}").format(Identifier(str(user))))
        assert migrate(login) == []
        conn.execute(SQL("REVOKE strandline_worker FROM {}").format(Identifier(str(user))))
