"""Profiles of the wallet's users, in DynamoDB: personal data stays out of the journal, and can be deleted."""

from collections.abc import Mapping
from typing import Any

from strandline.ledger.wallet.problems import NoSuchProfile, WrongRequest

MOST_MEMBERS, MOST_CHARACTERS = 30, 1_000
_KEY = "accountId"


class Profiles:
    """One DynamoDB table with one item for each account. May be used from any number of threads."""

    def __init__(self, table: str, client: Any = None) -> None:
        """`client` is boto3's for DynamoDB, by default one with boto3's own settings."""
        if client is None:
            import boto3

            client = boto3.client("dynamodb")
        self._table = table
        self._client = client

    def create_table(self) -> None:
        """Create the table if it does not exist, and wait until it can be used."""
        try:
            self._client.create_table(
                TableName=self._table,
                KeySchema=[{"AttributeName": _KEY, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": _KEY, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except self._client.exceptions.ResourceInUseException:
            return
        self._client.get_waiter("table_exists").wait(TableName=self._table)

    def put(self, account_id: str, profile: object) -> None:
        """Store a profile, which replaces an earlier one. Raises WrongRequest."""
        item = {name: {"S": text} for name, text in _checked(profile).items()}
        self._client.put_item(TableName=self._table, Item={**item, _KEY: {"S": account_id}})

    def get(self, account_id: str) -> dict[str, str]:
        """Return a profile. Raises NoSuchProfile."""
        item = self._client.get_item(TableName=self._table, Key={_KEY: {"S": account_id}}, ConsistentRead=True)
        if "Item" not in item:
            raise NoSuchProfile("the account has no profile")
        return {name: value["S"] for name, value in item["Item"].items() if name != _KEY}

    def delete(self, account_id: str) -> None:
        """Delete a profile; a no-op if there is none."""
        self._client.delete_item(TableName=self._table, Key={_KEY: {"S": account_id}})


def _checked(profile: object) -> Mapping[str, str]:
    if (
        not isinstance(profile, Mapping)
        or len(profile) > MOST_MEMBERS
        or _KEY in profile
        or not all(isinstance(text, str) and len(text) <= MOST_CHARACTERS for text in profile.values())
        or not all(0 < len(name) <= 100 for name in profile)
    ):
        raise WrongRequest(
            f"profile must be an object of at most {MOST_MEMBERS} texts of at most {MOST_CHARACTERS:,} characters, "
            f"without {_KEY}"
        )
    return profile
