"""Fixtures: a store with the sample ledger, a copy for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.console.samples import Store, fill


@pytest.fixture(scope="session")
def filled_template(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database with the sample ledger, to copy."""
    with databases.temporary_database(postgres_url, migrated_template) as (name, url):
        fill(url, tmp_path_factory.mktemp("journal") / "sample")
        yield name


@pytest.fixture
def store(postgres_url: str, filled_template: str) -> Iterator[Store]:
    with databases.migrated_database(postgres_url, filled_template) as url:
        yield Store(url)


@pytest.fixture
def empty(database: str) -> Store:
    return Store(database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
