"""The control API: a digest, and blocks and revisions with proofs."""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

from strandline.journal.ion.values import read_one
from tests.ledger.endpoint.client import Client


def send(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body)
    response = client.http.request(method, path, content=content, headers={"content-type": "application/json"})
    answer = response.json()
    if response.status_code != 200:
        answer = {"type": response.headers["x-amzn-errortype"], **answer}
    return response.status_code, answer


def ion(holder: Any) -> Any:
    return read_one(holder["IonText"].encode())


def digest_by_client(leaf: bytes, proof: list[bytes]) -> bytes:
    """The digest as QLDB's clients compute it (developer guide, "Verification", step 4), apart from our own code.

    Of two hashes, the one that is lower by its signed bytes, compared from the last one on, comes first.
    """
    for other in proof:
        leaf = sha256(b"".join(sorted((bytes(leaf), bytes(other)), key=signed_from_the_end))).digest()
    return leaf


def signed_from_the_end(value: bytes) -> list[int]:
    return [byte - 256 if byte > 127 else byte for byte in reversed(value)]


def flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def test_revision_is_proved_up_to_the_digest(client: Client) -> None:
    client.run("INSERT INTO Vehicle {'VIN': 'V1'}")
    (row,) = client.run("SELECT blockAddress, metadata.id, hash FROM _ql_committed_Vehicle")
    address = row["blockAddress"]
    _, digest = send(client, "POST", "/ledgers/vehicles/digest")
    body = {
        "BlockAddress": {"IonText": f'{{strandId:"{address["strandId"]}",sequenceNo:{address["sequenceNo"]}}}'},
        "DocumentId": row["id"],
        "DigestTipAddress": digest["DigestTipAddress"],
    }
    status, found = send(client, "POST", "/ledgers/vehicles/revision", body)
    assert status == 200
    proof, expected = ion(found["Proof"]), b64decode(digest["Digest"])
    assert digest_by_client(row["hash"], proof) == expected
    assert ion(found["Revision"])["data"] == {"VIN": "V1"}
    for place in range(len(proof)):
        assert digest_by_client(row["hash"], [*proof[:place], flipped(proof[place]), *proof[place + 1 :]]) != expected
    assert digest_by_client(flipped(row["hash"]), proof) != expected
    status, found = send(client, "POST", "/ledgers/vehicles/block", body)
    block_hash, proof = ion(found["Block"])["blockHash"], ion(found["Proof"])
    assert digest_by_client(block_hash, proof) == expected
    assert digest_by_client(flipped(block_hash), proof) != expected
    body["DocumentId"] = "0" * 22
    assert send(client, "POST", "/ledgers/vehicles/revision", body)[0] == 400


def test_ledger_is_described(client: Client) -> None:
    _, listed = send(client, "GET", "/ledgers")
    assert [one["Name"] for one in listed["Ledgers"]] == ["vehicles"]
    _, described = send(client, "GET", "/ledgers/vehicles")
    assert (described["State"], described["PermissionsMode"]) == ("ACTIVE", "ALLOW_ALL")


def test_what_is_not_there_is_refused(client: Client) -> None:
    status, answer = send(client, "GET", "/ledgers/other")
    assert (status, answer["type"], answer["ResourceName"]) == (404, "ResourceNotFoundException", "other")
    assert send(client, "DELETE", "/ledgers/vehicles")[0] == 400
    assert send(client, "GET", "/nothing")[0] == 404
    for body in ({}, {"BlockAddress": {"IonText": "1"}}, {"BlockAddress": {"IonText": "{"}}, {"BlockAddress": 1}):
        status, answer = send(client, "POST", "/ledgers/vehicles/block", body)
        assert (status, answer["type"]) == (400, "InvalidParameterException")
