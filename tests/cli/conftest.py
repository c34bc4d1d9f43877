from pathlib import Path

import pytest

from strandline.cli import main
from tests.commands import Outcome, Run


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against a fresh database."""
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = main(arguments)
        return Outcome(status, *capsys.readouterr())

    return run
