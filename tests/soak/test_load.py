"""The ledger that writes during the long test of the worker, and its model."""

from collections import Counter
from collections.abc import Iterable

import pytest

from strandline.journal.decode.stream import UserRecord
from tests.soak import load
from tests.soak.load import Load

SECONDS = 4


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[UserRecord]:
    records: list[UserRecord] = []

    def put(_: object, __: str, some: Iterable[UserRecord]) -> None:
        records.extend(some)

    monkeypatch.setattr(load, "put", put)
    monkeypatch.setattr(load, "kinesis", object)
    return records


def written(seed: int) -> Load:
    made = Load("licences", seed, 2_000, lambda: 0)
    for _ in range(10 * SECONDS):
        made._write(15)
        made._send(load.HELD_BACK)
    return made


def test_load_follows_from_its_seed(sent: list[UserRecord]) -> None:
    written(1)
    first = list(sent)
    sent.clear()
    written(1)
    assert sent == first
    sent.clear()
    written(2)
    assert sent != first


def test_load_sends_out_of_order_and_repeats_redacted_records(sent: list[UserRecord]) -> None:
    made = written(3)
    tip = made.written.tip
    assert 0 < made.sent < tip  # some records are kept back
    made._send(0)
    assert made.sent == tip
    times = Counter(record.data for record in sent)
    assert min(times.values()) == 1
    assert max(times.values()) > 1
    last = {record.data: at for at, record in enumerate(sent)}
    first = {record.data: at for at, record in reversed(list(enumerate(sent)))}
    assert any(last[late.data] - first[late.data] > 500 for late in made._late)


def test_model_knows_redacted_strings(sent: list[UserRecord]) -> None:
    model = written(4).written
    assert model.redacted
    expected = model.expected()
    states = Counter(row[-1] for row in expected["journal.revision"])
    assert states["redacted"] == len(model.redacted)
    assert states["deleted"] > 0
    shown = {value for name, rows in expected.items() if "." not in name for row in rows for value in row}
    assert not shown & model.withheld().keys()
    assert model.withheld().keys() & {value for one in model.revisions.values() for value in (one.data or {}).values()
                                      if isinstance(value, str)}  # fmt: skip


def test_load_waits_for_slow_consumers(sent: list[UserRecord]) -> None:
    behind = iter([-load.MOST_AHEAD - 2] * 2)

    def taken() -> int:
        if (block := next(behind, None)) is None:
            made._stopping.set()
        return block or made.sent

    made = Load("licences", 1, 2_000, taken)
    made._run()
    made.check()
    assert made.written.tip == round(load.BLOCKS_A_SECOND * load.TICK_SECONDS) - 1  # of the last turn alone


def test_load_ends_with_its_strand(sent: list[UserRecord]) -> None:
    """A long test may take longer than planned, on a slow machine or when a kill is slow to recover from."""
    made = Load("licences", 1, 100, lambda: 0)
    for _ in range(10):
        made._write(30)
        made._send(load.HELD_BACK)
    made._send(0)
    made.check()
    assert made.sent == made.written.tip == 99
