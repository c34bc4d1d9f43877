"""Fixtures: a store for journals of canaries, with the licence ledger's read models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.consumer.erasure.purge import hide
from strandline.consumer.generations.stores import DATABASE_ONLY, Stores
from strandline.consumer.intake.replay import Replay, replay_sources
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.discovery import discover
from strandline.consumer.settings import Settings
from strandline.journal.make.format import Format
from strandline.journal.sources.source import local_sources
from tests.consumer.erasure.canaries import write_export
from tests.journals import Block

PROJECTIONS = discover(("strandline.projections",))


@dataclass
class Replayed:
    """A database, and methods to fill it."""

    url: str
    folder: Path
    exports: int = 0
    projections: Mapping[str, Projection] = field(default_factory=lambda: PROJECTIONS)
    stores: Stores = DATABASE_ONLY

    def replay(self, blocks: list[Block], format: Format = Format.ION_BINARY) -> Replay:
        """Replay as the command does: intake, projection, receipts."""
        result = self.take(blocks, format)
        assert hide(self.url, self.projections, self.stores) == []
        return result

    def take(self, blocks: list[Block], format: Format = Format.ION_BINARY) -> Replay:
        self.exports += 1
        source = write_export(self.folder / str(self.exports), blocks, format)
        return replay_sources(self.url, local_sources(str(source)), Settings(workers=1))

    def rows(self, statement: str, *parameters: Any, returns: bool = True) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            done = connection.execute(statement.encode(), parameters)
            return done.fetchall() if returns else []


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[str], Replayed]:
    return lambda url: Replayed(url, tmp_path)


@pytest.fixture
def store(database: str, new_store: Callable[[str], Replayed]) -> Replayed:
    return new_store(database)
