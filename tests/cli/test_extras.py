"""Commands whose packages are optional extras, without these packages."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from strandline.cli import main
sys.exit(main(["worker"]))
"""


@pytest.mark.parametrize("package", ["amazon_kclpy", "prometheus_client"])
def test_worker_without_its_extra_says_what_to_install(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: This needs the package {package}, which is not installed.",
        "Install the extra `worker`: in a clone of the repository, `pip install '.[worker]'`.",
    ]
