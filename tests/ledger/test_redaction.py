"""QLDB's redaction patterns, by the library and by the command line."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.cli.app import run
from strandline.consumer.verification.verify import verify_store
from strandline.journal.errors import UsageError
from strandline.ledger import Ledger, errors
from strandline.ledger.redaction import equal_to, redact_attribute, redact_document, redact_revision
from strandline.ledger.retention import Rule, due, parse_rules

CANARY = "Canary-7f3a"


@pytest.fixture
def ada(licences: Ledger) -> str:
    """A document of four revisions; 0 to 2 hold firstName, in 1 it is another one."""
    id_ = licences.execute(lambda txn: txn.insert("Licence", {"licenceId": "A1", "firstName": CANARY}))
    licences.execute(lambda txn: txn.update("Licence", id_, {"firstName": "Other"}))
    licences.execute(lambda txn: txn.update("Licence", id_, {"firstName": CANARY, "status": "Revoked"}))
    return id_


def states(database: str, document: str) -> list[tuple[int, str]]:
    with psycopg.connect(database) as connection:
        return connection.execute(
            "SELECT version, state FROM journal.revision WHERE document_id = %s ORDER BY 1", [document]
        ).fetchall()


def holds_canary(database: str) -> bool:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT count(*) FROM journal.revision WHERE data::text LIKE %s OR position(%s::bytea IN data_ion) > 0",
            [f"%{CANARY}%", CANARY.encode()],
        ).fetchone()
    return found != (0,)


class TestPatterns:
    def test_revision_is_redacted(self, licences: Ledger, database: str, ada: str) -> None:
        done = redact_revision(licences, ada, 1)
        assert (done.document_id, done.version) == (ada, 1)
        assert states(database, ada) == [(0, "normal"), (1, "redacted"), (2, "normal")]
        with pytest.raises(errors.NothingToRedact):
            redact_revision(licences, ada, 1)
        with pytest.raises(errors.ActiveRevision):
            redact_revision(licences, ada, 2)
        with pytest.raises(errors.NoSuchRevision):
            redact_revision(licences, ada, 9)

    def test_document_is_redacted(self, licences: Ledger, database: str, ada: str) -> None:
        assert holds_canary(database)
        assert [one.version for one in redact_document(licences, ada)] == [0, 1, 2]
        assert states(database, ada) == [(0, "redacted"), (1, "redacted"), (2, "redacted"), (3, "deleted")]
        assert not holds_canary(database)
        assert list(redact_document(licences, ada)) == []
        assert verify_store(database, workers=1).ok

    def test_attribute_is_redacted(self, licences: Ledger, database: str, ada: str) -> None:
        assert [one.version for one in redact_attribute(licences, ada, "firstName")] == [0, 1, 2]
        found = licences.execute(lambda txn: txn.get("Licence", ada))
        assert found is not None
        assert found.data == {"licenceId": "A1", "status": "Revoked"}
        assert not holds_canary(database)

    def test_attribute_is_redacted_by_value(self, licences: Ledger, database: str, ada: str) -> None:
        done = redact_attribute(licences, ada, "firstName", equal_to(CANARY))
        assert [one.version for one in done] == [0, 2]
        assert states(database, ada)[1] == (1, "normal")
        assert not holds_canary(database)

    def test_unknown_document_is_refused(self, licences: Ledger) -> None:
        with pytest.raises(errors.NoSuchRevision):
            list(redact_document(licences, "nobody"))


class TestRetention:
    def test_due_revisions_follow_the_rules(self, licences: Ledger, database: str, ada: str) -> None:
        assert list(due(database, [Rule("Licence", 0)])) == [(ada, 0), (ada, 1)]
        assert list(due(database, [Rule("Licence", 0, "firstName", "Other"), Rule("Licence", 0)])) == [
            (ada, 1), (ada, 0)
        ]  # fmt: skip
        assert list(due(database, [Rule("Licence", 1)])) == []
        assert list(due(database, [Rule("Contact", 0)])) == []
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE journal.revision SET tx_time = tx_time - %s", [timedelta(days=2)])
        assert list(due(database, [Rule("Licence", 1)])) == [(ada, 0), (ada, 1)]

    @pytest.mark.parametrize(
        "text", [None, "x", "{}", "[1]", '[{"table": "T"}]', '[{"table": "T", "days": -1}]', '[{"days": 1}]',
                 '[{"table": "T", "days": 1, "field": "f"}]', '[{"table": "T", "days": 1, "other": 1}]']
    )  # fmt: skip
    def test_malformed_rules_are_refused(self, text: str | None) -> None:
        with pytest.raises(UsageError, match="STRANDLINE_RETENTION"):
            parse_rules(text)

    def test_rules_are_parsed(self) -> None:
        text = '[{"table": "T", "days": 3, "field": "f", "equals": null}, {"table": "U", "days": 0}]'
        assert parse_rules(text) == [Rule("T", 3, "f", None), Rule("U", 0)]


class TestCommands:
    @pytest.fixture(autouse=True)
    def settings(self, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)

    def json(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
        status = run([*arguments, "--json"])
        assert status == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    def test_redact_command(self, ada: str, database: str, capsys: pytest.CaptureFixture[str]) -> None:
        result = self.json(capsys, "redact", ada, "0")
        assert [(one["document_id"], one["version"]) for one in result["redactions"]] == [(ada, 0)]
        assert run(["redact", ada, "0"]) == 1
        result = self.json(capsys, "redact", "--document", ada, "--attribute", "firstName", "--value", "Other")
        assert [one["version"] for one in result["redactions"]] == [1]
        result = self.json(capsys, "redact", "--document", ada)
        assert [one["version"] for one in result["redactions"]] == [2]
        assert self.json(capsys, "status")["redactions"] == {"pending": 0, "open": 0, "done": 3}

    def test_redact_due_command(
        self, ada: str, database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run(["redact", "--due"]) == 2
        monkeypatch.setenv("STRANDLINE_RETENTION", '[{"table": "Licence", "days": 0}]')
        assert len(self.json(capsys, "redact", "--due", "--dry-run")["due"]) == 2
        assert states(database, ada)[0] == (0, "normal")
        assert len(self.json(capsys, "redact", "--due")["redactions"]) == 2
        assert self.json(capsys, "redact", "--due")["redactions"] == []

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["X"],
            ["X", "0", "--due"],
            ["--value", "x"],
            ["--due", "--attribute", "x"],
            ["--document", "X", "--dry-run"],
        ],
    )
    def test_redact_with_wrong_arguments_is_refused(self, arguments: list[str]) -> None:
        assert run(["redact", *arguments]) == 2

    def test_export_command(self, ada: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        result = self.json(capsys, "ledger", "export", str(tmp_path))
        assert result["blocks"] == result["last_no"] + 1
        assert self.json(capsys, "verify", str(tmp_path))["ok"]
        assert run(["ledger", "export", str(tmp_path), "--format", "JSON"]) == 2
