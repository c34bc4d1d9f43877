"""Commands whose packages are optional extras, without these packages."""

import os
import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from strandline.cli import main
sys.exit(main(["worker"]))
"""


@pytest.mark.parametrize(
    ("package", "extra"),
    [("amazon_kclpy", "worker"), ("prometheus_client", "worker"), ("opentelemetry", "tracing")],
)
def test_worker_without_its_extra_says_what_to_install(package: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "STRANDLINE_TRACING": "true"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: This needs the package {package}, which is not installed.",
        f"Install the extra `{extra}`: in a clone of the repository, `pip install '.[{extra}]'`.",
    ]
