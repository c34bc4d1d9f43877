"""Services on threads: they start, end when asked to, and do not fail in silence."""

import os
import signal
from threading import Event

from structlog.testing import capture_logs

from strandline.consumer.background import Background, stop_all, stop_signals

PATIENCE = 30


class Waits(Background):
    """Runs until it is stopped, or until an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__("waits")
        self._error = error
        self.let_go = Event()

    def run(self) -> None:
        if self._error is not None:
            raise self._error
        self.stopping.wait()
        self.let_go.wait()


def test_services_end_when_they_are_stopped() -> None:
    services = [Waits(), Waits()]
    for one in services:
        one.let_go.set()
        one.start()
        assert not one.join(0)
    assert stop_all(services, PATIENCE)
    assert [one.failure for one in services] == [None, None]


def test_service_that_does_not_end_in_time_is_reported() -> None:
    slow, quick = Waits(), Waits()
    quick.let_go.set()
    for one in (slow, quick):
        one.start()
    assert not stop_all([slow, quick], 0.05)
    assert quick.join(PATIENCE)
    slow.let_go.set()
    assert slow.join(PATIENCE)


def test_error_of_a_service_is_kept_and_logged_by_its_kind() -> None:
    for error in (ValueError("a name"), SystemExit(1)):
        service = Waits(error)
        with capture_logs() as logs:
            service.start()
            assert service.join(PATIENCE)
        assert service.failure == f"ended ({type(error).__name__})"
        assert [(one["event"], one["service"]) for one in logs] == [("service ended", "waits")]
        assert "a name" not in str(logs)


def test_service_that_was_never_started_has_ended() -> None:
    assert stop_all([Waits()], 0)


def test_signals_ask_to_stop_and_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(PATIENCE)
    assert signal.getsignal(signal.SIGTERM) is before
