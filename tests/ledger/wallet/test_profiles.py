"""Profiles in DynamoDB (moto's), never in the journal."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from strandline.consumer.database.connection import connect
from strandline.ledger.wallet import Wallet, handlers
from strandline.ledger.wallet.handlers import Api
from strandline.ledger.wallet.profiles import Profiles
from tests.ledger.wallet.conftest import Call

PROFILE = {"name": "Ada Abara", "email": "ada.abara@example.org"}


@pytest.fixture
def profiles(wallet: Wallet, api: Api) -> Iterator[Profiles]:
    with mock_aws():
        client = boto3.client("dynamodb", "eu-west-2", aws_access_key_id="test", aws_secret_access_key="test")
        profiles = Profiles("wallet-profiles", client)
        profiles.create_table()
        profiles.create_table()  # there is one
        handlers.use(Api(wallet, profiles))
        yield profiles


def test_profile_is_never_in_the_journal(profiles: Profiles, call: Call, database: str) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    assert call("/GetProfile", accountId="A")[0] == 404
    assert call("/PutProfile", accountId="A", profile=PROFILE) == (200, {"accountId": "A"})
    assert call("/GetProfile", accountId="A") == (200, {"accountId": "A", "profile": PROFILE})
    call("/PutProfile", accountId="A", profile={"name": "Ada Birk"})
    assert call("/GetProfile", accountId="A")[1]["profile"] == {"name": "Ada Birk"}
    assert call("/DeleteProfile", accountId="A") == call("/DeleteProfile", accountId="A") == (200, {"accountId": "A"})
    assert call("/GetProfile", accountId="A")[0] == 404
    with connect(database) as connection:
        stored = connection.execute("SELECT string_agg(r::text, '') FROM journal.revision r").fetchone()
        stated = connection.execute("SELECT string_agg(b::text, '') FROM journal.block b").fetchone()
    assert "Ada" not in f"{stored}{stated}"


def test_profile_needs_an_account(profiles: Profiles, call: Call) -> None:
    assert call("/PutProfile", accountId="A", profile=PROFILE)[0] == 404
    with pytest.raises(Exception, match="no profile"):
        profiles.get("A")


@pytest.mark.parametrize(
    "profile",
    [
        None,
        "Ada",
        [],
        {"name": 7},
        {"": "Ada"},
        {"accountId": "B"},
        {"name": "A" * 1001},
        {f"n{n}": "" for n in range(31)},
    ],
    ids=["none", "text", "list", "number", "nameless", "account", "long", "many"],
)
def test_malformed_profiles_are_refused(profiles: Profiles, call: Call, profile: Any) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    assert call("/PutProfile", accountId="A", profile=profile)[0] == 400


def test_profiles_are_off_without_a_table(call: Call) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    for answer in (call("/GetProfile", accountId="A"), call("/PutProfile", accountId="A", profile=PROFILE)):
        assert answer[0] == 409
        assert "STRANDLINE_WALLET_PROFILES" in answer[1]["detail"]
