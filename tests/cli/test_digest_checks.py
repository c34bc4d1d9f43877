"""`verify --digest` of the store is recorded, and `status` shows it."""

from base64 import b64encode
from pathlib import Path

import pytest

from strandline.consumer.database.errors import DatabaseError
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.commands import Run


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Path:
    simulate(tmp_path / "made", 40, 7, Format.ION_BINARY)
    run("replay", str(tmp_path / "made" / "full"))
    return tmp_path / "made"


def test_checks_are_shown(run: Run, made: Path) -> None:
    assert run("status", "--json").json["digest_checks"] == []
    assert run("verify", "--digest", str(made / "full.digest.json")).status == 0
    assert run("verify", "--digest", b64encode(bytes(32)).decode(), "--tip", "20").status == 1
    # Of an export, nothing is recorded.
    assert run("verify", str(made / "full"), "--digest", str(made / "full.digest.json")).status == 0
    status = run("status", "--json").json
    assert [(one["answer"], one["tip"], one["qldb"], one["checked_by"]) for one in status["digest_checks"]] == [
        ("does not hold", 20, True, "command"),
        ("holds", 39, True, "command"),
    ]
    assert status["mark_moved_at"] is not None


def test_a_login_that_may_not_write_verifies_nevertheless(
    run: Run, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("The database login may not act as strandline_worker.")

    monkeypatch.setattr("strandline.consumer.verification.against_digest.record_check", refuse)
    done = run("verify", "--digest", str(made / "full.digest.json"))
    assert done.status == 0
    assert "not recorded" in done.err
    monkeypatch.setattr("strandline.consumer.verification.against_digest.add_verification", refuse)
    done = run("verify")
    assert done.status == 0
    assert "not recorded" in done.err
