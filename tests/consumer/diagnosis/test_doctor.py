"""The command `doctor`: what would break later is a fault with advice, and neither secrets nor payload are shown."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strandline.consumer.diagnosis.configuration import MASK
from tests.commands import Outcome, Run
from tests.journals import ion_text, small_journal

SECRETS = ("secret-of-the-database", "secret-of-opensearch", "secret-of-the-endpoint")


def level(outcome: Outcome, check: str, area: str = "database") -> str:
    (found,) = (one["level"] for one in outcome.json["checks"] if (one["area"], one["check"]) == (area, check))
    return str(found)


def test_sound_store_has_no_fault(run: Run) -> None:
    outcome = run("doctor", "--json")
    assert (outcome.status, outcome.json["ok"], outcome.err) == (0, True, "")
    for check in ("version", "encoding", "primary", "schema", "rights", "pooling", "log", "sessions"):
        assert level(outcome, check) == "ok", check
    assert all(one["advice"] for one in outcome.json["checks"] if one["level"] in ("warning", "fault"))


def test_text_has_a_line_a_check_and_what_to_do(run: Run) -> None:
    outcome = run("doctor")
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert "ok      database: encoding: UTF8" in lines
    at = lines.index("-       opensearch: connection: off")
    assert lines[at + 1] == "        → set STRANDLINE_OPENSEARCH_URL for read models in OpenSearch"
    assert lines[-1].startswith("0 faults, ")


def test_login_without_a_role_is_a_fault(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE doctor_nobody LOGIN")
        connection.execute(f"GRANT CONNECT ON DATABASE {connection.info.dbname} TO doctor_nobody".encode())
        monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, user="doctor_nobody"))
        outcome = run("doctor", "--json")
        connection.execute(f"REVOKE ALL ON DATABASE {connection.info.dbname} FROM doctor_nobody".encode())
        connection.execute("DROP ROLE doctor_nobody")
    assert (outcome.status, level(outcome, "rights"), level(outcome, "version")) == (1, "fault", "ok")


def test_what_a_reader_may_not_see_is_no_fault(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, options="-c role=strandline_analyst"))
    outcome = run("doctor", "--json")
    assert (outcome.status, level(outcome, "schema"), level(outcome, "pooling")) == (0, "note", "ok")


def test_rights_that_the_worker_lacks_are_a_fault(run: Run, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        statement = f"REVOKE TEMPORARY ON DATABASE {connection.info.dbname} FROM strandline_worker, PUBLIC"
        connection.execute(statement.encode())
    outcome = run("doctor", "--json")
    faults = [one for one in outcome.json["checks"] if one["level"] == "fault"]
    assert [one["text"] for one in faults] == ["strandline_worker lacks TEMPORARY on the database"]
    assert "GRANT TEMPORARY ON DATABASE" in faults[0]["advice"]


def test_settings_of_the_server_that_matter_are_seen(run: Run, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for setting in ("statement_timeout = '5s'", "log_statement = 'all'"):
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {setting}".encode())
    outcome = run("doctor", "--json")
    assert (outcome.status, level(outcome, "log"), level(outcome, "sessions")) == (0, "warning", "note")


def test_store_that_is_not_migrated_is_not_a_fault_for_its_owner(
    run: Run, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", empty_database)
    outcome = run("doctor", "--json")
    assert (outcome.status, level(outcome, "schema")) == (0, "note")
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regnamespace('journal') IS NULL").fetchone() == (True,)


def test_unreachable_database_is_a_fault_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", f"postgresql://someone:{SECRETS[0]}@127.0.0.1:1/ledger")
    outcome = run("doctor", "--json")
    assert (outcome.status, level(outcome, "connection")) == (1, "fault")
    assert level(outcome, "connection", "opensearch") == "note"  # it goes on
    assert SECRETS[0] not in outcome.out + outcome.err


def test_no_secret_is_shown(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, password=SECRETS[0]))
    monkeypatch.setenv("STRANDLINE_CONSOLE_ANALYST_URL", make_conninfo(database, password=SECRETS[0]))
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_URL", f"http://one:{SECRETS[1]}@127.0.0.1:1")
    monkeypatch.setenv("STRANDLINE_SERVE_TOKEN", SECRETS[2])
    for outcome in (run("doctor"), run("doctor", "--json")):
        assert outcome.status == 1  # OpenSearch is not there
        assert not any(secret in outcome.out + outcome.err for secret in SECRETS)
    (fault,) = (one for one in outcome.json["checks"] if one["level"] == "fault")
    assert fault["advice"] == "check STRANDLINE_OPENSEARCH_URL, its login, and that the cluster runs"
    shown = {one["check"]: one["text"] for one in outcome.json["checks"] if one["area"] == "settings"}
    assert shown["STRANDLINE_SERVE_TOKEN"] == MASK
    assert shown["STRANDLINE_OPENSEARCH_URL"] == "http://127.0.0.1:1"
    assert "dbname=" in shown["STRANDLINE_DATABASE_URL"]


def test_no_payload_is_shown(run: Run, tmp_path: Path) -> None:
    export = tmp_path / "part.ion"
    export.write_bytes(ion_text(small_journal()))
    assert run("replay", str(export)).status == 0
    outcome = run("doctor")
    assert outcome.status == 0
    assert not any(word in outcome.out for word in ("Ada", "Revoked", "licenceId"))


def test_wrong_settings_are_faults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_WORKERS", "none")
    outcome = run("doctor", "--json")
    assert outcome.status == 1
    assert any("STRANDLINE_WORKERS" in one["text"] and one["level"] == "fault" for one in outcome.json["checks"])


def test_projection_that_cannot_be_loaded_is_a_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_PROJECTIONS", "no_such_package")
    outcome = run("doctor", "--json")
    assert (outcome.status, level(outcome, "projections", "settings")) == (1, "fault")


def test_stream_that_cannot_be_reached_is_a_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_STREAM", "ledger")
    for name, value in (("REGION", "eu-west-1"), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", SECRETS[2])):
        monkeypatch.setenv(f"AWS_{name}", value)
    # boto3 knows only this name of the region: the command sets it, and monkeypatch removes it afterwards.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "removed")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    outcome = run("doctor", "--json")
    texts = {one["check"]: one["text"] for one in outcome.json["checks"] if one["area"] == "stream"}
    assert "cannot be reached" in texts["stream"]
    assert "cannot be reached" in texts["leases"]
    assert (outcome.status, level(outcome, "stream", "stream"), level(outcome, "leases", "stream")) == (
        1,
        "fault",
        "fault",
    )
    assert level(outcome, "kcl", "stream") == "ok"
    assert SECRETS[2] not in outcome.out + outcome.err
