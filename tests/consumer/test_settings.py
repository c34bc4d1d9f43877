from pathlib import Path

import pytest

from strandline.consumer.settings import SYSTEM_HOME, load_settings
from strandline.journal.errors import UsageError


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "HOME", "OPENSEARCH_URL", "PROJECTIONS", "ORIGIN", "WORKERS", "SETTINGS_FILE"):
        monkeypatch.delenv(f"STRANDLINE_{name}", raising=False)


@pytest.mark.parametrize(("uid", "home"), [(0, SYSTEM_HOME), (1000, Path.home() / ".strandline")])
def test_defaults(monkeypatch: pytest.MonkeyPatch, uid: int, home: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    settings = load_settings()
    assert (settings.database_url, settings.opensearch_url) == (None, None)
    assert (settings.projections, settings.origin, settings.home) == (("strandline.projections",), 0, home)
    assert settings.workers >= 1


def test_account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setattr(Path, "home", no_home)
    assert load_settings().home == SYSTEM_HOME


def test_empty_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "OPENSEARCH_URL", "PROJECTIONS", "ORIGIN", "WORKERS", "SETTINGS_FILE"):
        monkeypatch.setenv(f"STRANDLINE_{name}", "")
    settings = load_settings()
    assert (settings.database_url, settings.opensearch_url) == (None, None)
    assert (settings.projections, settings.origin) == (("strandline.projections",), 0)


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", "postgresql://u:secret@db:5433/strandline")
    monkeypatch.setenv("STRANDLINE_PROJECTIONS", "strandline.projections.licensing, ours ,")
    monkeypatch.setenv("STRANDLINE_HOME", "~/there")
    monkeypatch.setenv("STRANDLINE_WORKERS", "3")
    settings = load_settings()
    assert settings.projections == ("strandline.projections.licensing", "ours")
    assert settings.home == Path.home() / "there"
    assert settings.workers == 3
    assert "secret" not in repr(settings)


def test_a_line_of_the_file_that_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "strandline.env"
    file.write_text("# ours\nexport STRANDLINE_WORKERS='2'\n\nSTRANDLINE_ORIGIN 7\n")
    monkeypatch.setenv("STRANDLINE_SETTINGS_FILE", str(file))
    with pytest.raises(UsageError, match="line 4, is not NAME=value"):
        load_settings()


def test_file_gives_way_to_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "strandline.env"
    file.write_text("STRANDLINE_ORIGIN=7\nSTRANDLINE_WORKERS=2\nAWS_REGION=eu-west-1\n")
    monkeypatch.setenv("STRANDLINE_SETTINGS_FILE", str(file))
    monkeypatch.setenv("STRANDLINE_ORIGIN", "9")
    settings = load_settings()
    assert (settings.origin, settings.workers) == (9, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORIGIN", "-4711"),
        ("ORIGIN", "secret"),
        ("WORKERS", "0"),
        ("PROJECTIONS", "not a package;secret"),
        ("OPENSEARCH_URL", "admin:secret@host"),
        ("DATABASE_URL", "postgresql://u:se cret@[host/db"),
        ("HOME", "~nobody-of-that-name/secret"),
    ],
)
def test_wrong_value_is_named_but_never_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"STRANDLINE_{name}", value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"STRANDLINE_{name} ")
    assert value not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_one_line_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_ORIGIN", "x")
    monkeypatch.setenv("STRANDLINE_WORKERS", "y")
    with pytest.raises(UsageError) as caught:
        load_settings()
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["STRANDLINE_ORIGIN", "STRANDLINE_WORKERS"]


@pytest.mark.parametrize("content", [None, b"STRANDLINE_ORIGIN=\xff\xfe"])
def test_settings_file_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "settings"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("STRANDLINE_SETTINGS_FILE", str(file))
    with pytest.raises(UsageError, match=r"STRANDLINE_SETTINGS_FILE: there is no file|cannot be read as UTF-8 text"):
        load_settings()


def test_toml_file_in_the_folder_is_read_and_the_environment_takes_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "strandline.toml").write_text('workers = 2\norigin = 7\nprojections = ["ours", "theirs"]\n')
    monkeypatch.setenv("STRANDLINE_WORKERS", "3")
    monkeypatch.setenv("STRANDLINE_ORIGIN", "")
    settings = load_settings()
    assert (settings.workers, settings.origin, settings.projections) == (3, 7, ("ours", "theirs"))
    (tmp_path / "other.toml").write_text("origin = 8\n")
    monkeypatch.setenv("STRANDLINE_SETTINGS_FILE", "other.toml")
    assert load_settings().origin == 8


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("workers = ", "strandline.toml is not TOML"),
        ('workers = "many"', "STRANDLINE_WORKERS should be a valid integer"),
        ("worker = 2", "strandline.toml: STRANDLINE_WORKER is no setting: did you mean STRANDLINE_WORKERS?"),
        ("[strandline]\nworkers = 2", "STRANDLINE_STRANDLINE is no setting"),
    ],
)
def test_wrong_toml_file_is_refused(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "strandline.toml").write_text(text)
    with pytest.raises(UsageError, match=error.replace("?", r"\?")):
        load_settings()


def test_kernel_is_python_or_native_and_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("python", "native", ""):
        monkeypatch.setenv("STRANDLINE_KERNEL", name)
        load_settings()
    monkeypatch.setenv("STRANDLINE_KERNEL", "rust")
    with pytest.raises(UsageError, match=r"^STRANDLINE_KERNEL should be 'native' or 'python'$"):
        load_settings()
    monkeypatch.delenv("STRANDLINE_KERNEL")
    (tmp_path / "strandline.toml").write_text('kernel = "python"\n')
    with pytest.raises(UsageError, match=r"^strandline.toml: STRANDLINE_KERNEL has no effect in a file: set it in"):
        load_settings()


def test_unknown_setting_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_DATABSE_URL", "postgresql://db")
    monkeypatch.setenv("STRANDLINE_XYZ", "1")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert str(refused.value).splitlines() == [
        "STRANDLINE_DATABSE_URL is no setting: did you mean STRANDLINE_DATABASE_URL?",
        "STRANDLINE_XYZ is no setting: remove it.",
    ]
    monkeypatch.delenv("STRANDLINE_DATABSE_URL")
    monkeypatch.delenv("STRANDLINE_XYZ")
    (tmp_path / "strandline.env").write_text("STRANDLINE_ORIGINS=7\n")
    monkeypatch.setenv("STRANDLINE_SETTINGS_FILE", str(tmp_path / "strandline.env"))
    with pytest.raises(UsageError, match="did you mean STRANDLINE_ORIGIN"):
        load_settings()


def test_names_that_kubernetes_sets_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("STRANDLINE_PORT_8080_TCP_ADDR", "10.0.0.1")
    load_settings()


def test_settings_without_effect_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_OPENSEARCH_CA", "/etc/ca.pem")
    monkeypatch.setenv("STRANDLINE_EXPUNGE_PHYSICAL", "1")
    assert load_settings().unused == [
        "STRANDLINE_OPENSEARCH_CA has no effect without STRANDLINE_OPENSEARCH_URL",
        "STRANDLINE_EXPUNGE_PHYSICAL has no effect without STRANDLINE_EXPUNGE_WINDOW",
    ]
