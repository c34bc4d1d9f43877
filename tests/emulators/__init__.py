"""Kinesis and DynamoDB on this machine, without Docker: kinesis-local (npm) and moto (PyPI), both on loopback only.

kinesis-local is the one that speaks HTTP/2 and CBOR as KCL does, and can reshard; moto serves the lease tables. Both
keep everything in memory.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"
# Where `make` installs kinesis-local.
FOLDER = Path(sys.prefix) / "emulators" / "node_modules" / "kinesis-local"
START_SECONDS = 120
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Emulators:
    """The URLs of both servers."""

    kinesis: str
    dynamodb: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that a client of them needs."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_KINESIS": self.kinesis,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb,
        }


@contextmanager
def emulators(kinesis_port: int | None = None, dynamodb_port: int | None = None) -> Iterator[Emulators]:
    """Run both servers, on the given ports or on free ones, until the end of the block."""
    kinesis_port = kinesis_port or free_port()
    dynamodb_port = dynamodb_port or free_port()
    with _kinesis(kinesis_port), _dynamodb(dynamodb_port):
        _wait_for(kinesis_port)
        _wait_for(dynamodb_port)
        yield Emulators(f"http://127.0.0.1:{kinesis_port}", f"http://127.0.0.1:{dynamodb_port}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kinesis(port: int) -> "_Server":
    node = shutil.which("node")
    if node is None or not FOLDER.is_dir():
        raise RuntimeError("kinesis-local is not installed: `make kinesis` does that, with Node 18 or later")
    environment = {
        **os.environ,
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(free_port()),
        "AWS_REGION": REGION,
        "LOG_LEVEL": "ERROR",
    }
    loopback = Path(__file__).with_name("loopback.cjs")
    return _Server([node, "--require", str(loopback), "main.js"], environment, FOLDER)


def _dynamodb(port: int) -> "_Server":
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return _Server(command, {**os.environ, **CREDENTIALS}, None)


class _Server:
    def __init__(self, command: list[str], environment: dict[str, str], folder: Path | None) -> None:
        self._command, self._environment, self._folder = command, environment, folder

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"an emulator does not answer on port {port}")
