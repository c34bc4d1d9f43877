"""The applications of examples/ run against a served ledger by real drivers; the journal verifies afterwards."""

from pathlib import Path
from typing import Any

import pytest

from strandline.consumer.verification.verify import verify_store
from strandline.ledger import Ledger
from tests.drivers import examples
from tests.drivers.serving import serving
from tests.ledger.execution.statements import run


def play(database: str, home: Path, example: str) -> Any:
    with serving(database, home) as (url, _):
        printed = examples.play(url, example)
    assert verify_store(database, workers=1).ok
    return printed


EXPECTED = {
    "wallet.py": {
        "balances": {"ACC-0": "100.00", "ACC-1": "99.50", "ACC-2": "100.00", "ACC-3": "100.00"}, "refused": True,
    },
    "vehicle_registration.py": {
        "before": ["Arden A1", "Beacon B2"], "after": ["Beacon B2"], "refused": True, "owners": ["GOV-1", "GOV-3"],
        "licence": ["issued", "renewed"],
    },
    "ai_audit.py": {
        "recorded": [True, True, True, False], "refused": True, "trail": ["E-1", "E-2"], "changed": [[], ["E-2"]],
    },
    "bicycle_licence.js": {
        "mobiles": [None, None, "07700 900003"], "streets": ["1 Sample Row", None, "9 Example Street"],
        "forgotten": [None, None], "points": 3,
    },
}  # fmt: skip


@pytest.mark.parametrize("example", EXPECTED)
def test_example(example: str, database: str, tmp_path: Path) -> None:
    assert play(database, tmp_path, example) == EXPECTED[example]


def test_lineage_has_the_sources_of_then(database: str, tmp_path: Path) -> None:
    printed = play(database, tmp_path, "ai_provenance.py")
    assert [one.split()[:2] for one in printed["lineage"]] == [
        ["dataset", "labels"], ["dataset", "letters"], ["model", "sorter"], ["output", "answer-1"],
    ]  # fmt: skip
    assert printed["lineage"][1].split()[2:] == printed["letters"]


def test_redacted_data_is_gone_from_the_journal(database: str, tmp_path: Path) -> None:
    play(database, tmp_path, "bicycle_licence.js")
    with Ledger(database) as ledger:
        kept = str(run(ledger, "SELECT * FROM history(Contact)") + run(ledger, "SELECT * FROM history(Licence)"))
    assert "07700 900003" in kept
    for gone in ("07700 900001", "Bob", "2 Sample Row"):
        assert gone not in kept
