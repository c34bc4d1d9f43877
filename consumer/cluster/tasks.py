"""Tasks: they run in a worker of the cluster, and take references to objects, never bytes or secrets.

A worker has the database and the credentials for S3 from its own environment. What a task raises is logged by Dask with
the task's arguments: it names kinds of errors and addresses only.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import psycopg

from strandline.consumer.database.connection import OPERATOR, connect
from strandline.consumer.database.errors import DatabaseUnreachable, describe_error
from strandline.consumer.intake.decoding import DecodedItem, decode_items, executor
from strandline.consumer.intake.replay import Replay, replay_sources
from strandline.consumer.intake.shard import Shard
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.verification.stored import check_blocks
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.decode.objects import Decoded
from strandline.journal.errors import StrandlineError
from strandline.journal.sources.source import Item, Source

P = ParamSpec("P")
T = TypeVar("T")

DATABASE = "SELECT oid::bigint, pg_postmaster_start_time()::text FROM pg_database WHERE datname = current_database()"
_WHOLE = Shard(0, 1)  # stores, and leaves the mark where it is


class TaskFailed(Exception):
    """A task failed in a way that may pass: it is tried again."""


@dataclass(frozen=True)
class Refused:
    """The reason why a task was not done, and would not be if it were tried again."""

    reason: str


@dataclass(frozen=True)
class Expected:
    """The facts that a worker must have in common with the command; `database` is None if the task needs none."""

    kernel: str
    origin: int = 0
    database: tuple[Any, ...] | None = None


def perform(expected: Expected, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Refused:
    """Call a task's function. Raises `TaskFailed` only if it is worth another try."""
    try:
        if expected.kernel != KERNEL:
            return Refused(f"a worker decodes with the {KERNEL} kernel, the command with the {expected.kernel} one")
        if expected.database is not None and identify(_settings()) != expected.database:
            return Refused("a worker has another database: give all of them the same STRANDLINE_DATABASE_URL")
        return function(*args, **kwargs)
    except DatabaseUnreachable as error:
        raise TaskFailed(str(error)) from None
    except StrandlineError as error:
        return Refused(str(error))
    except psycopg.Error as error:
        raise TaskFailed(str(describe_error(error))) from None
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]  # its text may hold payload
        raise TaskFailed(f"{type(error).__name__} at {at.name}, line {at.lineno}") from None


def identify(settings: Settings) -> tuple[Any, ...]:
    """Return what tells the database from any other."""
    assert settings.database_url is not None
    with connect(settings.database_url, role=OPERATOR) as connection:
        return tuple(connection.execute(DATABASE).fetchone() or ())


def store_items(items: Sequence[Item], trust_deletions: bool, origin: int) -> Replay:
    """Verify and store the items; the mark stays."""
    settings = _settings().model_copy(update={"origin": origin, "workers": 1})
    assert settings.database_url is not None
    source = Source("a task", "export", items)
    return replay_sources(settings.database_url, [source], settings, trust_deletions=trust_deletions, shard=_WHOLE)


def decode_only(items: Sequence[Item], trust_deletions: bool) -> list[DecodedItem]:
    """Verify the items, each by itself; without rows."""
    with executor(1) as pool:
        return list(decode_items(items, pool, workers=1, trust_deletions=trust_deletions, with_rows=False))


def check_stored_blocks(blocks: range, trust_deletions: bool) -> Decoded:
    """Verify blocks of the store."""
    url = _settings().database_url
    assert url is not None
    return check_blocks(url, trust_deletions, blocks)


def _settings() -> Settings:
    settings = load_settings()
    if settings.database_url is None:
        raise StrandlineError("a worker has no STRANDLINE_DATABASE_URL: give all of them the command's")
    return settings
