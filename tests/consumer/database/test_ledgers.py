"""The catalogue of ledgers, and the URLs of their databases."""

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from strandline.consumer.database.connection import connect
from strandline.consumer.database.ledgers import (
    CataloguedLedger,
    Protected,
    add_ledger,
    delete_ledger,
    finish,
    ledger_url,
    made_as,
    name_own,
    read_ledger,
    update_ledger,
)
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.settings import Settings
from strandline.journal.errors import UsageError


@pytest.mark.parametrize(
    "home",
    [
        "postgresql://u:p%40s@h:5/old?host=%2Fa%20b&dbname=x&sslmode=require",
        "postgresql://u@/old",
        "postgres://h",
        "host=h dbname=old user=u password='a b'",
    ],
)
def test_url_of_another_database(home: str) -> None:
    """All stays but the database."""
    now = datetime.now(UTC)
    own = CataloguedLedger("b", None, "ACTIVE", now, "STANDARD", True)
    assert own.url(home) == home
    found = CataloguedLedger("b", "a_b", "ACTIVE", now, "STANDARD", True).url(home)
    assert conninfo_to_dict(found) == {**conninfo_to_dict(home), "dbname": "a_b"}


def test_own_ledger_has_one_name(database: str) -> None:
    with connect(database) as connection:
        assert name_own(connection, "people").database is None
        assert name_own(connection, "people").name == "people"
        with pytest.raises(UsageError, match="own is named people"):
            name_own(connection, "vehicles")
        update_ledger(connection, "people", deletion_protection=False)
        with pytest.raises(Protected, match="shares its database"):
            delete_ledger(connection, "people")
    assert ledger_url(database, "people") == database


def test_ledger_beside_has_its_own_database_and_indexes(database: str) -> None:
    settings = Settings(opensearch_url="http://127.0.0.1:9", opensearch_prefix="x-")
    with connect(database) as connection:
        added = add_ledger(connection, "People-2", "STANDARD", deletion_protection=False)
        with pytest.raises(UsageError, match="It is CREATING: ledger People-2"):
            ledger_url(database, "People-2")
        with pytest.raises(Protected, match="is CREATING"):
            delete_ledger(connection, "People-2")
        done = finish(database, added)
        assert done is not None
        url = ledger_url(database, "People-2")
        assert finish(database, added) == done
        assert (made_as(database), made_as(url)) == (None, "People-2")
        assert open_stores(settings, url).prefix == "x-people-2-"
        assert open_stores(settings, database).prefix == "x-"
        assert finish(database, delete_ledger(connection, "People-2")) is None
        assert read_ledger(connection, "People-2") is None
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
