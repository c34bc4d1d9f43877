"""Several ledgers by the command line: each command works on the one that it is told."""

import json

import pytest

from strandline.consumer.settings import load_settings
from tests.commands import Run


def test_ledger_from_creation_to_deletion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("ledger", "create", "people", "--json").json
    assert (made["state"], made["permissions_mode"], made["deletion_protection"]) == ("ACTIVE", "STANDARD", True)
    again = run("ledger", "create", "people")
    assert (again.status, again.err) == (1, "error: There is a ledger people already.\n")
    run("partiql", "--ledger", "people", "CREATE TABLE Person", "CREATE INDEX ON Person (name)")
    run("partiql", "CREATE TABLE Vehicle")
    tables = "SELECT VALUE name FROM information_schema.user_tables"
    assert run("partiql", "--ledger", "people", tables).out == '"Person"\n'
    assert run("partiql", tables).out == '"Vehicle"\n'
    monkeypatch.setenv("STRANDLINE_LEDGER", "people")
    assert run("partiql", tables).out == '"Person"\n'
    assert run("sql", "SELECT name FROM ledger.user_tables ORDER BY 1", "--json").json["rows"][0] == {"name": "Person"}
    assert run("status", "--json").json["mark"] == 3
    assert run("verify").status == 0
    assert load_settings().application == "strandline-people"
    monkeypatch.delenv("STRANDLINE_LEDGER")
    assert [one["name"] for one in run("ledger", "list", "--json").json["ledgers"]] == ["people"]

    refused = run("ledger", "delete", "people")
    assert (refused.status, "switch its deletion protection off first" in refused.err) == (1, True)
    assert "not protected" in run("ledger", "update", "people", "--no-protect").out
    assert run("ledger", "update", "people", "--mode", "ALLOW_ALL", "--json").json["permissions_mode"] == "ALLOW_ALL"
    assert run("ledger", "delete", "people").status == 0
    assert json.loads(run("ledger", "list", "--json").out) == {"ledgers": []}
    for arguments in (("status", "--ledger", "people"), ("ledger", "delete", "people"), ("ledger", "update", "people")):
        refused = run(*arguments)
        assert (refused.status, "people: `strandline ledger list` shows them" in refused.err) == (2, True)


@pytest.mark.parametrize("name", ["a--b", "123", "a_b", "a" * 33])
def test_wrong_name(run: Run, name: str) -> None:
    refused = run("ledger", "create", name)
    assert (refused.status, "is no name for a ledger" in refused.err) == (2, True)


def test_ledger_of_a_store_that_is_not_migrated(run: Run, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", empty_database)
    refused = run("status", "--ledger", "people")
    assert (refused.status, "There is no ledger people" in refused.err) == (2, True)
