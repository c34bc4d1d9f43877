"""The drivers, each as a program that plays a scenario. They are collected by `make test-drivers` alone."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build/drivers"
LEDGER = "vehicles"

if not os.environ.get("STRANDLINE_TEST_DRIVERS"):
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True)
class Driver:
    """A driver's program: its command, before the URL, the ledger's name and the scenario.

    `built` is there if the program was built, which needs the toolchain of its language.
    """

    name: str
    command: tuple[str, ...]
    built: Path
    environment: tuple[tuple[str, str], ...] = ()

    def start(self, url: str, scenario: str) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "made-up-secret-of-a-test",
            "AWS_DEFAULT_REGION": "eu-west-2",
            **dict(self.environment),
        }
        return subprocess.Popen(
            [*self.command, url, LEDGER, scenario],
            env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def play(self, url: str, scenario: str) -> Any:
        """The program's output."""
        with self.start(url, scenario) as process:
            printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return json.loads(printed)


PYTHON = ROOT / ".venv-drivers/bin/python"
NODE_MODULES = ROOT / "tests/drivers/node/node_modules"
JAVA = BUILT / "classes/Client.class"
DRIVERS = (
    Driver("python", (str(PYTHON), str(ROOT / "tests/drivers/python_client.py")), PYTHON),
    Driver("node", ("node", str(ROOT / "tests/drivers/node/client.js")), NODE_MODULES),
    Driver("java", ("java", "-Xmx256m", "-cp", f"{BUILT}/jars/*:{BUILT}/classes", "Client"), JAVA),
    Driver("go", (str(BUILT / "go-client"),), BUILT / "go-client"),
)


@pytest.fixture(params=DRIVERS, ids=lambda one: one.name)
def driver(request: pytest.FixtureRequest) -> Driver:
    found: Driver = request.param
    if not found.built.exists():
        pytest.skip(f"the driver for {found.name} is not built: `make test-drivers` says what it needs")
    return found


@pytest.fixture
def play(driver: Driver) -> Callable[[str, str], Any]:
    return driver.play
