"""The worker's schedule for expunging."""

from datetime import UTC, datetime
from threading import Event

import pytest
from pydantic import ValidationError

from strandline.consumer.erasure.expunge import Expunged, Skipped
from strandline.consumer.generations.stores import DATABASE_ONLY
from strandline.consumer.settings import Settings
from strandline.consumer.worker import expunge_schedule
from strandline.consumer.worker.expunge_schedule import ExpungeSchedule, seconds_left
from strandline.journal.errors import StrandlineError

PATIENCE = 60


@pytest.mark.parametrize(
    ("window", "at", "left"),
    [
        ("02:00-04:00", "01:59:59", None),
        ("02:00-04:00", "02:00:00", 7200),
        ("02:00-04:00", "03:59:30", 30),
        ("02:00-04:00", "04:00:00", None),
        ("22:30-01:00", "23:30:00", 5400),
        ("22:30-01:00", "00:59:00", 60),
        ("22:30-01:00", "22:29:00", None),
        ("00:00-24:00", "12:00:00", 43200),
    ],
)
def test_window_repeats_each_day(window: str, at: str, left: float | None) -> None:
    assert seconds_left(window, datetime.fromisoformat(f"2026-03-01T{at}+00:00")) == left


def test_window_that_is_not_two_times_is_refused() -> None:
    for wrong in ("2:00-4:00", "02:00", "25:00-26:00", "24:00-02:00", "02:00 - 04:00"):
        with pytest.raises(ValidationError):
            Settings(expunge_window=wrong)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expunge_schedule, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(expunge_schedule, "REPEAT_SECONDS", 0.01)


def test_expunge_repeats_within_its_window_whatever_fails(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    enough = Event()

    def does(*_: object, **options: object) -> Expunged:
        asked.append(options)
        if len(asked) == 3:
            enough.set()
        if len(asked) == 1:
            raise StrandlineError("another one is running")
        return Expunged(skipped=[Skipped("journal.block", "its lock was not free in time")])

    monkeypatch.setattr(expunge_schedule, "expunge", does)
    settings = Settings(expunge_window="02:00-04:00", expunge_physical=True, rejected_days=7)
    scheduled = ExpungeSchedule(settings, "url", {}, DATABASE_ONLY, lambda: datetime(2026, 3, 1, 3, tzinfo=UTC))
    scheduled.start()
    assert enough.wait(PATIENCE)
    scheduled.stop()
    assert {(one["physical"], one["rejected_days"], one["seconds"]) for one in asked} == {(True, 7, 3600)}


def test_nothing_is_expunged_outside_the_window(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Event()
    times = iter([1, 1, 1])

    def clock() -> datetime:
        hour = next(times, None)
        if hour is None:
            looked.set()
        return datetime(2026, 3, 1, hour or 1, tzinfo=UTC)

    ran: list[bool] = []
    monkeypatch.setattr(expunge_schedule, "expunge", lambda *_, **__: ran.append(True) or Expunged())
    scheduled = ExpungeSchedule(Settings(expunge_window="02:00-04:00"), "url", {}, DATABASE_ONLY, clock)
    scheduled.start()
    assert looked.wait(PATIENCE)
    scheduled.stop()
    without = ExpungeSchedule(Settings(), "url", {}, DATABASE_ONLY, lambda: datetime(2026, 3, 1, 3, tzinfo=UTC))
    without.start()
    without.stop()
    assert not ran
