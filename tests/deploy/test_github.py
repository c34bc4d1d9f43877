"""GitHub's files: valid, with pinned actions and least rights, and about targets, files and commands that exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tools.check_version import differences

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
SCHEMAS = {
    "vendor.github-workflows": [*WORKFLOWS],
    "custom.github-workflows-require-timeout": [*WORKFLOWS],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.github-issue-forms": [GITHUB / "ISSUE_TEMPLATE/bug.yml", GITHUB / "ISSUE_TEMPLATE/feature.yml"],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
}
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def jobs() -> dict[str, dict[str, Any]]:
    return {f"{path.stem} {name}": job for path in WORKFLOWS for name, job in read(path)["jobs"].items()}


JOBS = jobs()
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schema(schema: str) -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    subprocess.run([check, "--builtin-schema", schema, *SCHEMAS[schema]], check=True)


def test_every_file_has_a_schema() -> None:
    checked = {path for paths in SCHEMAS.values() for path in paths}
    assert set(GITHUB.rglob("*.yml")) == checked


def test_actions_are_pinned_and_say_their_version() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    for action in used:
        assert PINNED.fullmatch(action), action
    text = "".join(path.read_text() for path in WORKFLOWS)
    assert len(re.findall(r"uses: \S+@[0-9a-f]{40}  # v\d+\.\d+\.\d+\n", text)) == len(used)
    versions = {action.partition("@")[0]: action for action in used}
    assert set(used) == set(versions.values()), "one version of each"


def test_workflows_call_what_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {name for step in STEPS for name in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert called == {"audit", "check-terraform", "check-version", "check-workflows", "test-deploy", "wheels"}
    assert called <= targets
    files = {word for step in STEPS for word in re.findall(r"bash (\S+)", step.get("run", ""))}
    assert files == {".ci/run"}
    for job in JOBS.values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()


def test_rights_are_the_least() -> None:
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {"contents": "read"}, path.name
    more = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert more == {"release publish": {"contents": "write", "id-token": "write"}}
    for step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_commands_have_no_text_of_others() -> None:
    """A title or a branch's name in a command would be run by the shell."""
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]


def test_audit_is_strict() -> None:
    """Without --strict, pip-audit passes when it can ask no source of advisories."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\naudit: ")[2].partition("\n\n")[0]
    assert "pip-audit --strict" in recipe
    assert "cargo-audit audit" in recipe
    locks = {str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.lock"), *ROOT.glob("*/requirements.lock"))}
    listed = re.search(r"^LOCKS := \$\(wildcard \*\.lock\) (.*)$", makefile, re.MULTILINE)
    assert listed is not None
    assert locks <= {*listed[1].split(), *(path.name for path in ROOT.glob("*.lock"))}


def test_release_waits_for_everything() -> None:
    needs = {name: job.get("needs", []) for name, job in JOBS.items() if name.startswith("release")}
    assert set(needs["release publish"]) == {"ci", "wheels"}
    assert needs["release ci"] == needs["release wheels"] == "version"
    assert JOBS["release publish"]["environment"] == "pypi"
    assert read(GITHUB / "workflows/release.yml")["on"] == {"push": {"tags": ["v*"]}}


def test_wheels_are_of_the_kernel_and_the_package() -> None:
    uploaded = [
        step["with"]["name"]
        for name, job in JOBS.items()
        if name.startswith("wheels")
        for step in job["steps"]
        if "upload-artifact" in step.get("uses", "")
    ]
    [pattern] = [
        step["with"]["pattern"] for step in JOBS["release publish"]["steps"] if "pattern" in step.get("with", {})
    ]
    assert pattern == "wheel-*"
    native = "wheel-native-${{ matrix.name }}"
    assert sorted(uploaded) == ["overrides", native, native, "wheel-python"]
    platforms = [
        one["name"]
        for job in (JOBS["wheels linux"], JOBS["wheels other"])
        for one in job["strategy"]["matrix"]["include"]
    ]
    assert len(set(platforms)) == len(platforms) == 7
    # Those of Linux with glibc are what `make wheels` builds and checks.
    assert [step["run"] for step in JOBS["wheels linux"]["steps"] if "run" in step] == ["make wheels"]


def test_dependabot_looks_where_dependencies_are() -> None:
    known = {
        "github-actions": ".github/workflows", "pip": "pyproject.toml", "cargo": "Cargo.toml", "npm": "package.json",
        "docker": "Dockerfile", "terraform": "main.tf", "gomod": "go.mod", "maven": "pom.xml",
    }  # fmt: skip
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == set(known)
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.lstrip("/") / known[update["package-ecosystem"]]).exists(), update


def test_bug_report_asks_for_the_doctor() -> None:
    fields = {one["id"]: one for one in read(GITHUB / "ISSUE_TEMPLATE/bug.yml")["body"] if "id" in one}
    assert "strandline doctor" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"]["required"] is True


def test_version_of_a_tag_is_checked(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    (tmp_path / "native/Cargo.toml").write_text('[package]\nversion = "0.1.1"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]: 0.1.0\n\n## [0.0.9]\n")
    assert [line.split()[0] for line in differences("0.1.0", tmp_path)] == ["native/Cargo.toml", "CHANGELOG.md"]
    (tmp_path / "native/Cargo.toml").write_text('[package]\nversion = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [0.1.0]: 2026-12-01\n")
    assert list(differences("0.1.0", tmp_path)) == []
