"""A real OpenSearch node for the tests: one that all of pytest's workers share, started when a test first asks for it,
or the one that `STRANDLINE_TEST_OPENSEARCH_URL` names."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from opensearchpy import OpenSearch

GIVEN = "STRANDLINE_TEST_OPENSEARCH_URL"
HOME = "STRANDLINE_TEST_OPENSEARCH_HOME"
OWNER = "STRANDLINE_TEST_OPENSEARCH_OWNER"
HEAP_MEGABYTES = 512
ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "opensearch"
START_SECONDS = 300
STOP_SECONDS = 20


def pytest_configure(config: pytest.Config) -> None:
    """Choose the shared node's home, and whose life it shares, before the workers start."""
    if not hasattr(config, "workerinput"):
        os.environ[HOME] = tempfile.mkdtemp(prefix="strandline-opensearch-")
        os.environ[OWNER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ.pop(OWNER)
        home = Path(os.environ.pop(HOME))
        with suppress(FileNotFoundError, ValueError):
            stop_node(int((home / "pid").read_text()))
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def opensearch_url() -> str:
    """URL of the shared node; tests use names of their own and clear what they make."""
    if url := os.environ.get(GIVEN):
        return url
    home = Path(os.environ[HOME])
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "url").exists():
            pid, url = start_node(home / "data", home / "node.log", int(os.environ[OWNER]))
            (home / "pid").write_text(str(pid))
            (home / "url").write_text(url)
        return (home / "url").read_text()


@pytest.fixture
def opensearch(opensearch_url: str) -> Iterator[OpenSearch]:
    """A client, for one test at a time: read models have the same names in all. What the test makes is deleted."""
    with (Path(os.environ[HOME]) / "in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = OpenSearch(hosts=[opensearch_url], timeout=30, max_retries=0)
        before = set(client.indices.get(index="*"))
        yield client
        for name in set(client.indices.get(index="*")) - before:
            client.indices.delete(index=name, params={"ignore_unavailable": "true"})
        client.close()


def start_node(
    data: Path, log: Path, owner: int, port: int | None = None, megabytes: int = HEAP_MEGABYTES
) -> tuple[int, str]:
    """Start a node that ends with the process `owner`; its process id and URL, once it answers."""
    subprocess.run(["make", "-s", "-C", str(ROOT), "build/opensearch/.built"], check=True)
    port = port or _free_port()
    command = ["java", f"-Xms{megabytes}m", f"-Xmx{megabytes}m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command += ["-cp", f"{BUILT}/jars/*:{BUILT}/classes", "Launch"]
    command += [str(data), str(port), str(_free_port()), str(owner)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"OpenSearch did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)
    # Whoever ends it need not be its parent.
    process.returncode = 0
    return process.pid, url


def stop_node(pid: int, sent: int = signal.SIGTERM) -> None:
    """End a node and wait until it is gone; whoever started it may be gone already, or not have asked for its end."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.send_signal(sent)
        deadline = time.monotonic() + STOP_SECONDS
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.05)


@contextmanager
def node_of_its_own(folder: Path, megabytes: int = HEAP_MEGABYTES) -> Iterator["OwnNode"]:
    """A node that a test may stop and start, with so much memory for Java; its data stay."""
    node = OwnNode(folder, megabytes)
    node.start()
    try:
        yield node
    finally:
        node.stop()


class OwnNode:
    """A node at one port, up or down."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder = folder
        self._megabytes = megabytes
        self._port = _free_port()
        self._pid: int | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        data, log = self._folder / "data", self._folder / "node.log"
        self._pid, _ = start_node(data, log, os.getpid(), self._port, self._megabytes)

    def stop(self, sent: int = signal.SIGTERM) -> None:
        if self._pid is not None:
            stop_node(self._pid, sent)
            self._pid = None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
