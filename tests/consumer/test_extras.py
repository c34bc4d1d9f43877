"""The command that adds an extra, for each tool that may have made the environment."""

import sys
from pathlib import Path

import pytest

from strandline.consumer import extras
from strandline.consumer.extras import PIPX_FILE, install_line


def test_pip_is_asked_by_this_python() -> None:
    assert install_line("worker") == f"{sys.executable} -m pip install 'strandline[worker]'"


def test_pipx_is_asked_for_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = tmp_path / "strandline-2"
    environment.mkdir()
    (environment / PIPX_FILE).write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(environment))
    assert install_line("console", "alb") == "pipx runpip strandline-2 install 'strandline[console,alb]'"


def test_without_pip_uv_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my tools"))
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert install_line("shell") == f"uv pip install --python '{tmp_path}/my tools' 'strandline[shell]'"
