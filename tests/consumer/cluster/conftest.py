"""The database that a cluster's workers and the command share, one for each module."""

from collections.abc import Iterator

import pytest

from tests import databases


@pytest.fixture(scope="module")
def store(postgres_url: str, migrated_template: str) -> Iterator[str]:
    with databases.migrated_database(postgres_url, migrated_template) as url:
        yield url
