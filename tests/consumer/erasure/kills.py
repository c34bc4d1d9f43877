"""Kills a process that applies redactions between any two of its steps, and checks the outcome."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from strandline.consumer.database.connection import connect
from strandline.consumer.erasure.receipt_check import check_receipts
from strandline.consumer.generations.stores import Stores
from strandline.consumer.verification.verify import verify_store
from tests.consumer.erasure.canaries import Canaries, write_export
from tests.consumer.erasure.dump import dump, relations_with
from tests.consumer.erasure.searched import OUTSIDE, PROJECTIONS, searched

RECEIPTS = """
    SELECT document_id, version, store, level, count(*) FROM projection.receipt GROUP BY 1, 2, 3, 4"""


@dataclass(frozen=True)
class Exports:
    """The canaries' export before the first redaction, and the complete one."""

    made: Canaries
    early: Path
    whole: Path

    @classmethod
    def of(cls, made: Canaries, folder: Path) -> "Exports":
        early = write_export(folder / "early", made.blocks[: made.first_redaction])
        return cls(made, early, write_export(folder / "whole", made.blocks))


def run(stores: Stores, export: Path, *options: str, last: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "tests.consumer.erasure.killed",
        stores.url,
        str(export),
        "--last",
        str(last),
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def whole_run(stores: Stores, export: Path, *options: str) -> int:
    """Return the number of steps."""
    ended = run(stores, export, *options)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


def kill_often(stores: Stores, export: Path, *options: str, random: Random, steps: int, times: int) -> int:
    """Return how many kills met the process at work. Each run resumes where the one before was killed."""
    ended = [run(stores, export, *options, last=random.randrange(1, steps // 3)) for _ in range(times)]
    assert {one.returncode for one in ended} <= {0, -signal.SIGKILL}, [one.stderr for one in ended]
    return sum(one.returncode == -signal.SIGKILL for one in ended)


def shown(stores: Stores) -> dict[str, list[str]]:
    """Return what analysts see, without the numbers of generations, and the receipts."""
    found = {name: sorted(text.splitlines()) for name, text in dump(stores.url).items() if name.startswith("read.")}
    if stores.opensearch is not None:
        for name in [one.name for one in OUTSIDE]:
            stores.opensearch.indices.refresh(index=name)
            hits = stores.opensearch.search(index=name, body={"size": 10_000})["hits"]["hits"]
            found[name] = sorted(f"{hit['_id']} {hit['_source']}" for hit in hits)
    with connect(stores.url) as connection:
        found["receipts"] = sorted(map(str, connection.execute(RECEIPTS)))
    return found


def failures(stores: Stores, strings: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong at the end, whatever the undisturbed run gave."""
    for place, strings_found in relations_with(stores.url, list(strings)).items():
        yield f"{len(strings_found)} canaries are back in {place}"
    if stores.opensearch is not None:
        for place, strings_found in searched(stores.opensearch, strings).items():
            yield f"{len(strings_found)} canaries are back in {place}"
    yield from (f"block {fault.sequence_no}: {fault.fault}" for fault in verify_store(stores.url, workers=1).faults)
    with connect(stores.url) as connection:
        if not check_receipts(connection, PROJECTIONS, stores).holds:
            yield "the receipts do not hold"
