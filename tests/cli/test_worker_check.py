"""`worker --check` against workers that live, do not, and are none."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from strandline.cli import main
from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.monitoring.health import Faults, application

Serve = Callable[[Faults], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves `/livez` with these faults, on any address; returns the one to listen on."""
    servers = []

    def serve(faults: Faults) -> str:
        listening = listen_on("127.0.0.1:0", "STRANDLINE_LISTEN")
        server = HttpServer(application(lambda: faults, lambda: ({}, {}), lambda: b""), listening)
        servers.append(server)
        server.start()
        address = f"0.0.0.0:{server.port}"
        monkeypatch.setenv("STRANDLINE_LISTEN", address)
        return address

    yield serve
    for server in servers:
        server.stop()
        assert server.join(10)


def test_worker_that_lives(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve({"worker": None, "daemon": None})
    assert main(["worker", "--check"]) == 0
    assert capsys.readouterr() == ("ok\n", "")
    assert main(["worker", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True}


def test_worker_with_a_fault(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve({"worker": None, "daemon": "has ended"})
    assert main(["worker", "--check"]) == 1
    assert capsys.readouterr() == ("", "error: daemon: has ended.\n")


def test_no_worker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("STRANDLINE_LISTEN", f"127.0.0.1:{port}")
    assert main(["worker", "--check"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: No worker answers at 127.0.0.1:{port} (Connection refused)")
    assert "STRANDLINE_LISTEN" in told


def test_something_else_that_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def other(scope: object, receive: object, send: Callable[..., object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b'["no", "checks"]'})  # type: ignore[misc]

    server = HttpServer(other, listen_on("127.0.0.1:0", ""))  # type: ignore[arg-type]
    server.start()
    monkeypatch.setenv("STRANDLINE_LISTEN", f"127.0.0.1:{server.port}")
    try:
        assert main(["worker", "--check"]) == 1
    finally:
        server.stop()
        assert server.join(10)
    assert "is no worker (HTTP 200)" in capsys.readouterr().err


def test_worker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("strandline.cli.worker.CHECK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("STRANDLINE_LISTEN", f"127.0.0.1:{silent.getsockname()[1]}")
        assert main(["worker", "--check"]) == 1
    assert "TimeoutError" in capsys.readouterr().err
