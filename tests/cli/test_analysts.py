"""Tools of analysts: dbt's sources, views of their own over read models, and how `url` says to connect."""

import os
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from ruamel.yaml import YAML  # check-jsonschema brings it

from tests.commands import Run

VIEW = """
    CREATE VIEW analysts.active AS
    SELECT county, count(*) AS licences, max(source_block) AS newest FROM read.licence_register
    WHERE status = 'ACTIVE' GROUP BY county"""


@pytest.fixture
def journal(run: Run, tmp_path: Path) -> Path:
    assert run("simulate", str(tmp_path / "sample"), "--blocks", "120").status == 0
    assert run("replay", str(tmp_path / "sample" / "early")).status == 0
    return tmp_path / "sample"


def test_views_of_analysts_survive_rebuilds_and_rollbacks(run: Run, journal: Path, database: str) -> None:
    login = f"analyst_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {login} LOGIN IN ROLE strandline_analyst".encode())
        owner.execute(f"CREATE SCHEMA analysts AUTHORIZATION {login}".encode())
        try:
            with psycopg.connect(make_conninfo(database, user=login), autocommit=True) as analyst:
                analyst.execute(VIEW)
                before = analyst.execute("TABLE analysts.active ORDER BY county").fetchall()
                assert before
                for command in (("rebuild", "licence_register"), ("rollback", "licence_register")):
                    assert run(*command).status == 0
                    assert analyst.execute("TABLE analysts.active ORDER BY county").fetchall() == before
                assert run("rebuild", "licence_register").status == 0
                assert run("replay", str(journal / "full")).status == 0
                rows = analyst.execute("SELECT max(newest) FROM analysts.active").fetchone()
                now = analyst.execute("SELECT max(source_block) FROM read.licence_register WHERE status = 'ACTIVE'")
                assert rows == now.fetchone()  # it shows the new generation, not what was when it was made
        finally:
            owner.execute("DROP SCHEMA analysts CASCADE")
            owner.execute(f"DROP ROLE {login}".encode())


def test_dbt_sources_describe_what_the_login_may_read(
    run: Run, journal: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("COMMENT ON COLUMN read.licence_register.status IS E'It''s \"quoted\": yes\\n- no'")
    assert run("dbt-sources", "-o", str(tmp_path / "sources.yml")).status == 0
    (source,) = YAML(typ="safe").load((tmp_path / "sources.yml").read_text())["sources"]
    assert (source["name"], source["schema"]) == ("strandline", "read")
    tables = {table["name"]: table for table in source["tables"]}
    assert {"licence_register", "licence_history", "ledger_activity"} <= tables.keys()
    register = tables["licence_register"]
    assert register["description"].startswith("Which licences there are")
    assert register["meta"] == {"readers": "analysts"}
    columns = {column["name"]: column for column in register["columns"]}
    assert columns["status"]["description"] == 'It\'s "quoted": yes\n- no'
    assert columns["revised_at"]["data_type"] == "timestamp with time zone"
    assert columns["source_document"]["description"]

    monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, options="-c role=strandline_analyst"))
    outcome = run("dbt-sources", "--name", "ledger")
    (source,) = YAML(typ="safe").load(outcome.out)["sources"]
    names = {table["name"] for table in source["tables"]}
    assert source["name"] == "ledger"
    assert "licence_register" in names
    assert "licence_history" not in names  # of cleared readers


def test_dbt_sources_need_a_readers_role(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", make_conninfo(database, options="-c role=strandline_operator"))
    outcome = run("dbt-sources")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == "error: This login may not read the read models: it needs a reader's role.\n"
