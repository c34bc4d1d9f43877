"""The process of one job: `python -m strandline.console.job ID`. It outlives the console that started it."""

import sys
from base64 import b64decode
from contextlib import suppress
from dataclasses import asdict
from threading import Lock
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from strandline.console.jobs import Job, read_job
from strandline.consumer.background import Background, stop_all
from strandline.consumer.database.connection import connect, open_database
from strandline.consumer.database.errors import DatabaseError
from strandline.consumer.generations.rebuild import rebuild
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.logging import start_logging
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.verification.against_digest import (
    check_tip,
    record_check,
    record_verification,
    verification_json,
)
from strandline.consumer.verification.prove import prove
from strandline.consumer.verification.verify import verify_store
from strandline.journal.errors import StrandlineError
from strandline.journal.proofs.saved_digest import SavedDigest
from strandline.ledger.reading import FOLLOW

BEAT_SECONDS = 1.0

BEAT = "UPDATE console.job SET seen_at = now(), step = %s, done = %s, total = %s WHERE id = %s AND ended_at IS NULL"
END = (
    "UPDATE console.job SET ended_at = now(), seen_at = now(), ok = %s, result = %s WHERE id = %s AND ended_at IS NULL"
)


class Progress(Background):
    """Writes the last report of a job, and that it is alive, to the table."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__("progress")
        self._url, self._number = url, number
        self._lock = Lock()
        self._last: tuple[str | None, int | None, int | None] = (None, None, None)

    def report(self, step: str, done: int, total: int | None) -> None:
        with self._lock:
            self._last = (step, done, total)

    def run(self) -> None:
        with connect(self._url, application_name="strandline console job", autocommit=True) as connection:
            while True:
                with self._lock:
                    last = self._last
                connection.execute(BEAT, [*last, self._number])
                if self.stopping.wait(BEAT_SECONDS):
                    return


def run_job(number: int) -> None:
    """Do the work of a job, and record its end."""
    settings = load_settings()
    with open_database(settings) as url:
        with connect(url) as connection:
            job = read_job(connection, number)
        if job is None or job.ended_at is not None:
            return
        progress = Progress(url, number)
        progress.start()
        try:
            ok, result = _run(settings, url, job, progress)
        except StrandlineError as error:
            ok, result = False, {"error": str(error)}
        except psycopg.Error as error:  # its text may quote what it was about
            ok, result = False, {"error": f"the database refused it (SQLSTATE {error.sqlstate or 'unknown'})"}
        except Exception as error:
            ok, result = False, {"error": f"it failed ({type(error).__name__})"}
        stop_all([progress], 10.0)
        with connect(url) as connection, connection.transaction():
            connection.execute(END, [ok, Jsonb(result), number])


def _run(settings: Settings, url: str, job: Job, progress: Progress) -> tuple[bool, dict[str, Any]]:
    if job.kind == "rebuild":
        served = rebuild(
            url,
            discover(settings.projections),
            job.name,
            progress=progress.report,
            stores=open_stores(settings, url),
            accept=bool(job.arguments.get("accept")),
        )
        return served.swapped, {"projections": [asdict(served)]}
    if job.kind == "verify":
        return _verify(settings, url, job, progress)
    if job.kind == "index":
        with connect(url) as connection, connection.transaction():
            connection.execute(FOLLOW)
        return True, {}
    proof = prove(
        url,
        job.arguments["document"],
        job.arguments["version"],
        job.arguments["tip"],
        with_data=False,
        progress=lambda done, total: progress.report("proving", done, total),
    )
    return True, {"proof": proof.to_json()}


def _verify(settings: Settings, url: str, job: Job, progress: Progress) -> tuple[bool, dict[str, Any]]:
    """Verify the store, against a saved digest if the job has one, as `verify --digest` does."""
    saved = _saved(job.arguments)
    tip = saved.tip if saved is not None and saved.last_block is None else None
    tied_at = saved.last_block if saved is not None and saved.proof is not None else None
    done, total = 0, job.arguments["blocks"]

    def count(blocks: int) -> None:
        nonlocal done
        done += blocks
        progress.report("verifying", done, total)

    found = verify_store(url, workers=settings.workers, tip=tip, tied_at=tied_at, progress=count)
    check_tip(found, saved, tip)
    if saved is not None:
        record_check(url, found, saved, tip, job.started_by)
    with suppress(DatabaseError):  # the answer counts, even if it cannot be recorded
        record_verification(url, found)
    return found.ok, verification_json(found, tip)


def _saved(arguments: dict[str, Any]) -> SavedDigest | None:
    given = arguments.get("digest")
    if given is None:
        return None
    proof = given["proof"]
    return SavedDigest(
        "the digest given",
        b64decode(given["digest"]),
        tip=given["tip"],
        strand_id=given["strand_id"],
        proof=None if proof is None else tuple(map(b64decode, proof)),
        last_block=given["last_block"],
    )


if __name__ == "__main__":
    start_logging()  # to where the console sends it
    run_job(int(sys.argv[1]))
