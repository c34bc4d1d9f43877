"""Several ledgers: created, described, changed, tagged and deleted by the control API, each in its own database."""

from contextlib import ExitStack
from urllib.parse import quote

import psycopg
import pytest

from strandline.consumer.database.connection import connect
from strandline.consumer.database.ledgers import read_ledger
from tests.ledger.endpoint.client import Client, Refused
from tests.ledger.endpoint.control import Api, until

TWO = "SELECT count(*) FROM pg_database WHERE datname LIKE %s"


def refused(status: int, code: str) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, match=f"^{status} {code} ")


def test_new_ledger_has_no_digest_yet(api: Api) -> None:
    api.create("people")
    with refused(412, "ResourcePreconditionNotMetException") as refusal:
        api.call("POST", "/ledgers/people/digest")
    assert "no blocks yet" in str(refusal.value)


def test_cycle_of_a_resource(api: Api, several: str, database: str) -> None:
    """As Terraform's and CloudFormation's resources call: create, wait, describe, tag, update, delete, wait."""
    made = api.call("POST", "/ledgers", {"Name": "people", "PermissionsMode": "STANDARD", "Tags": {"team": "a"}})
    assert (made["State"], made["DeletionProtection"], made["PermissionsMode"]) == ("CREATING", True, "STANDARD")
    with refused(409, "ResourceInUseException"):
        api.call("POST", "/ledgers", {"Name": "people", "PermissionsMode": "STANDARD"})
    until(lambda: api.call("GET", "/ledgers/people")["State"] == "ACTIVE")
    assert api.call("GET", "/ledgers/people") == {**made, "State": "ACTIVE"}
    with refused(409, "ResourceAlreadyExistsException"):
        api.call("POST", "/ledgers", {"Name": "people", "PermissionsMode": "STANDARD"})

    arn = made["Arn"]
    assert api.tags(arn) == {"team": "a"}
    api.call("POST", f"/tags/{quote(arn, safe='')}", {"Tags": {"team": "b", "stage": "x"}})
    api.call("DELETE", f"/tags/{quote(arn, safe='')}", tagKeys=["team", "none"])
    assert api.tags(arn) == {"stage": "x"}

    changed = api.call("PATCH", "/ledgers/people/permissions-mode", {"PermissionsMode": "ALLOW_ALL"})
    assert changed == {"Name": "people", "Arn": arn, "PermissionsMode": "ALLOW_ALL"}
    with ExitStack() as stack:
        client = Client(several, stack, "people")
        client.run("CREATE TABLE Person")
        with refused(412, "ResourcePreconditionNotMetException"):
            api.call("DELETE", "/ledgers/people")
        assert api.call("PATCH", "/ledgers/people", {"DeletionProtection": False})["DeletionProtection"] is False
        assert api.call("DELETE", "/ledgers/people") == {}

        def gone() -> bool:
            try:
                assert api.call("GET", "/ledgers/people")["State"] == "DELETING"
            except Refused as error:
                return error.code == "ResourceNotFoundException"
            return False

        until(gone)
        with refused(400, "InvalidSessionException"):
            client.begin()
    with psycopg.connect(database) as connection:
        assert connection.execute(TWO, [f"%{database.rpartition('/')[2][:10]}%people%"]).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM control.tag").fetchone() == (0,)
    api.create("people")  # the name is free again
    with ExitStack() as stack:
        assert Client(several, stack, "people").run("SELECT * FROM information_schema.user_tables") == []


def test_ledgers_are_apart(api: Api, several: str) -> None:
    with ExitStack() as stack:
        for name in ("one", "two"):
            api.create(name)
            client = Client(several, stack, name)
            client.run("CREATE TABLE T")
            client.run("INSERT INTO T {'of': ?}", name)
        assert Client(several, stack, "one").run('SELECT VALUE t."of" FROM T AS t') == ["one"]
        with refused(400, "BadRequestException"):
            Client(several, stack, "three")
    digests = {api.call("POST", f"/ledgers/{name}/digest")["Digest"] for name in ("one", "two")}
    assert len(digests) == 2


def test_ledgers_are_listed_in_pages(api: Api, several: str, database: str) -> None:
    for name in ("b", "a", "c"):
        api.call("POST", "/ledgers", {"Name": name, "PermissionsMode": "ALLOW_ALL"})
    first = api.call("GET", "/ledgers", max_results=2)
    assert [one["Name"] for one in first["Ledgers"]] == ["a", "b"]
    second = api.call("GET", "/ledgers", max_results=2, next_token=first["NextToken"])
    assert [one["Name"] for one in second["Ledgers"]] == ["c"]
    assert "NextToken" not in second
    for query in ({"max_results": 0}, {"max_results": 101}, {"max_results": "x"}, {"next_token": "AAAA"}):
        with refused(400, "InvalidParameterException"):
            api.call("GET", "/ledgers", **query)
    until(lambda: all(one["State"] == "ACTIVE" for one in api.call("GET", "/ledgers")["Ledgers"]))


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "12", "a" * 33, "a_b", "ä", "a;DROP"])
def test_wrong_names_are_refused(api: Api, name: str) -> None:
    with refused(400, "InvalidParameterException"):
        api.call("POST", "/ledgers", {"Name": name, "PermissionsMode": "ALLOW_ALL"})


def test_wrong_parameters_are_refused(api: Api) -> None:
    for body in (
        {}, {"Name": "a"}, {"Name": "a", "PermissionsMode": "X"}, {"Name": 1, "PermissionsMode": "STANDARD"},
        {"Name": "a", "PermissionsMode": "STANDARD", "KmsKey": "arn:aws:kms:eu-west-2:000000000000:key/a"},
        {"Name": "a", "PermissionsMode": "STANDARD", "Tags": {"aws:x": "1"}},
        {"Name": "a", "PermissionsMode": "STANDARD", "Tags": {str(n): "" for n in range(51)}},
    ):  # fmt: skip
        with refused(400, "InvalidParameterException"):
            api.call("POST", "/ledgers", body)
    assert api.call("GET", "/ledgers") == {"Ledgers": []}  # nothing is left of the last one
    for arn in ("arn:aws:s3:::bucket-of-a-test", "arn:aws:qldb:local:000000000000:ledger/none"):
        with pytest.raises(Refused) as caught:
            api.tags(arn)
        assert caught.value.status in (400, 404)


def test_creation_needs_the_setting(url: str, client: Client) -> None:
    api = Api(client.http)
    with refused(400, "AccessDeniedException"):
        api.call("POST", "/ledgers", {"Name": "people", "PermissionsMode": "ALLOW_ALL"})
    api.call("PATCH", "/ledgers/vehicles", {"DeletionProtection": False})
    with refused(400, "AccessDeniedException"):
        api.call("DELETE", "/ledgers/vehicles")


def test_own_ledger_of_the_catalogue_is_never_dropped(api: Api, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO control.ledger (name, state, permissions_mode, deletion_protection) "
            "VALUES ('own', 'ACTIVE', 'ALLOW_ALL', false)"
        )
    with refused(412, "ResourcePreconditionNotMetException"):
        api.call("DELETE", "/ledgers/own")


def test_creation_that_was_interrupted_is_finished(api: Api, database: str) -> None:
    """A process was killed after it had added the ledger, with and without its database."""
    name = f"{database.rpartition('/')[2][:20]}_half_00000000"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        for ledger, of in (("half", name), ("none", f"{name}_none")):
            connection.execute(
                "INSERT INTO control.ledger VALUES (%s, %s, 'CREATING', now(), 'STANDARD', true)", [ledger, of]
            )
    until(lambda: [one["State"] for one in api.call("GET", "/ledgers")["Ledgers"]] == ["ACTIVE"] * 2)
    with connect(database) as connection:
        assert read_ledger(connection, "half") is not None
