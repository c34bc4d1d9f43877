"""The wallet's functions as API Gateway calls them."""

import json
from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from strandline.consumer.database.connection import connect
from strandline.consumer.verification.verify import verify_store
from strandline.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from strandline.ledger.wallet import Wallet, handlers
from strandline.ledger.wallet.handlers import Api
from tests.ledger.wallet.conftest import Call


def documents(database: str) -> list[Any]:
    with connect(database) as connection:
        statement = "SELECT data FROM journal.revision WHERE table_name = 'Wallet' ORDER BY sequence_no"
        return [data for (data,) in connection.execute(statement)]


def test_account_is_opened_and_moved(call: Call, database: str) -> None:
    assert call("/CreateAccount", accountId="A", requestId="r1") == (201, {"accountId": "A", "balance": "0"})
    added = call("/AddFunds", accountId="A", amount="12.50", requestId="r2")
    assert added == (200, {"accountId": "A", "previousBalance": "0", "currentBalance": "12.50"})
    withdrawn = call("/WithdrawFunds", accountId="A", amount="2.5", requestId="r3")
    assert withdrawn == (200, {"accountId": "A", "previousBalance": "12.50", "currentBalance": "10.00"})
    assert call("/CheckFunds", accountId="A") == (200, {"accountId": "A", "balance": "10.00"})
    assert documents(database)[-1] == {
        "accountId": "A",
        "balance": Decimal("10.00"),
        "txAmount": Decimal("2.5"),
        "txFrom": "A",
        "txTo": None,
        "txType": "WithdrawFunds",
        "txRequestId": "r3",
    }
    assert verify_store(database, workers=1).ok


def test_repeated_request_happens_once_with_the_same_result(call: Call, database: str) -> None:
    def opening() -> tuple[int, Any]:
        return call("/CreateAccount", accountId="A", requestId="r1")

    def adding() -> tuple[int, Any]:
        return call("/AddFunds", accountId="A", amount="5", requestId="r2")

    first = [opening(), adding()]
    call("/WithdrawFunds", accountId="A", amount="4", requestId="r3")
    assert [opening(), adding()] == first
    assert call("/CheckFunds", accountId="A")[1]["balance"] == "1"
    assert len(documents(database)) == 3


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/AddFunds", {"accountId": "A", "amount": "6", "requestId": "r2"}),
        ("/AddFunds", {"accountId": "B", "amount": "5", "requestId": "r2"}),
        ("/WithdrawFunds", {"accountId": "A", "amount": "5", "requestId": "r2"}),
        ("/WithdrawFunds", {"accountId": "A", "amount": "5000", "requestId": "r2"}),
        ("/AddFunds", {"accountId": "A", "amount": "5", "requestId": "r1"}),
        ("/CreateAccount", {"accountId": "C", "requestId": "r2"}),
        ("/CreateAccount", {"accountId": "A", "requestId": "r2"}),
    ],
)
def test_other_request_under_a_used_id_is_refused(
    call: Call, database: str, path: str, members: dict[str, str]
) -> None:
    for account in ("A", "B"):
        call("/CreateAccount", accountId=account, requestId="r1" if account == "A" else "r0")
    call("/AddFunds", accountId="A", amount="5", requestId="r2")
    before = documents(database)
    status, problem = call(path, **members)
    assert (status, problem["type"]) == (422, "urn:problem-type:strandline:request-reused")
    assert documents(database) == before


def test_refused_request_may_be_sent_again(call: Call) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    assert call("/WithdrawFunds", accountId="A", amount="5", requestId="r2")[0] == 409
    call("/AddFunds", accountId="A", amount="5", requestId="r3")
    assert call("/WithdrawFunds", accountId="A", amount="5", requestId="r2")[0] == 200


def test_balance_stays_positive_and_accounts_unique(call: Call, database: str) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    call("/AddFunds", accountId="A", amount="5.00", requestId="r2")
    before = documents(database)
    refused = [
        call("/WithdrawFunds", accountId="A", amount="5.01", requestId="r3"),
        call("/CreateAccount", accountId="A", requestId="r4"),
        call("/AddFunds", accountId="B", amount="1", requestId="r5"),
        call("/CheckFunds", accountId="B"),
    ]
    assert [(status, problem["type"].rpartition(":")[2]) for status, problem in refused] == [
        (409, "insufficient-funds"),
        (409, "account-exists"),
        (404, "no-such-account"),
        (404, "no-such-account"),
    ]
    assert documents(database) == before


@pytest.mark.parametrize(
    "amount",
    [None, 5, 5.5, True, "", "-5", "+5", "5,00", "1e3", "0", "0.00", "5.", ".5", "1.23456", "1" * 16, " 5", "٥", "NaN"],
    ids=repr,
)
def test_malformed_amounts_are_refused(call: Call, amount: object) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    status, problem = call("/AddFunds", accountId="A", amount=amount, requestId="r2")
    assert (status, problem["title"]) == (400, "The request is malformed")
    assert "amount must be" in problem["detail"]


def test_largest_amounts_are_exact(call: Call) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    for number in range(3):
        call("/AddFunds", accountId="A", amount="9" * 15 + ".9999", requestId=f"a{number}")
    assert call("/CheckFunds", accountId="A")[1]["balance"] == "2999999999999999.9997"


@pytest.mark.parametrize("name", [None, "", 7, "a" * 129, "a\n", "a\u0000"], ids=repr)
def test_malformed_names_are_refused(call: Call, name: object) -> None:
    assert call("/CreateAccount", accountId=name, requestId="r1")[0] == 400
    assert call("/CreateAccount", accountId="A", requestId=name)[0] == 400


def test_a_member_that_is_not_known_is_refused(call: Call) -> None:
    assert call("/CreateAccount", accountId="A", requestId="r1", currency="EUR")[0] == 400


@pytest.mark.parametrize("body", ["{", "[]", "7", "\ud800", "[" * 60_000, '{"a": ' + "9" * 5000 + "}"], ids=len)
def test_a_body_that_is_no_object_is_refused(api: Api, body: str) -> None:
    assert handlers.add_funds({"httpMethod": "POST", "body": body})["statusCode"] == 400


def test_too_large_body_is_refused(api: Api) -> None:
    assert handlers.add_funds({"httpMethod": "POST", "body": " " * 70_000})["statusCode"] == 413


def test_both_payload_formats_are_read(api: Api) -> None:
    body = json.dumps({"accountId": "Ä", "requestId": "r1"})
    first = {"httpMethod": "POST", "path": "/CreateAccount", "body": body, "queryStringParameters": None}
    assert handlers.create_account(first)["statusCode"] == 201
    second: dict[str, Any] = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}}
    second["queryStringParameters"] = {"accountId": "Ä"}
    found = handlers.check_funds(second)
    assert (found["statusCode"], json.loads(found["body"])["accountId"]) == (200, "Ä")
    third: dict[str, Any] = {"requestContext": {"http": {"method": "POST"}}, "isBase64Encoded": True}
    third["body"] = b64encode(json.dumps({"accountId": "Ä", "amount": "1", "requestId": "r2"}).encode()).decode()
    assert handlers.add_funds(third)["statusCode"] == 200
    assert handlers.add_funds({**third, "body": "?"})["statusCode"] == 400


def test_table_and_index_are_required(ledger: Ledger) -> None:
    handlers.use(Api(Wallet(ledger)))
    opening = {"httpMethod": "POST", "body": '{"accountId": "A", "requestId": "r1"}'}
    empty = {"httpMethod": "POST", "body": None}

    def problem(answer: dict[str, Any]) -> tuple[int, str]:
        return answer["statusCode"], json.loads(answer["body"]).get("detail", "")

    assert problem(handlers.create_account(opening)) == (409, "there is no table Wallet: call CreateTable, then Index")
    assert problem(handlers.index(empty)) == (409, "there is no table Wallet: call CreateTable, then Index")
    assert handlers.create_table(empty)["statusCode"] == 201
    assert problem(handlers.create_account(opening)) == (409, "the table Wallet has no index on accountId: call Index")
    assert handlers.index(empty)["statusCode"] == 201
    assert [handlers.create_table(empty)["statusCode"], handlers.index(empty)["statusCode"]] == [409, 409]
    assert handlers.create_account(opening)["statusCode"] == 201


def test_token_is_required_if_one_is_set(wallet: Wallet) -> None:
    handlers.use(Api(wallet, token="0123456789abcdef"))
    event: dict[str, Any] = {"httpMethod": "GET", "queryStringParameters": {"accountId": "A"}}
    for given in (None, "Bearer", "Bearer 0123456789abcdeX", "Basic 0123456789abcdef", "Bearer é"):
        refused = handlers.check_funds({**event, "headers": {"Authorization": given} if given else None})
        assert (refused["statusCode"], refused["headers"]["www-authenticate"]) == (401, "Bearer")
    answer = handlers.check_funds({**event, "headers": {"authorization": "bearer 0123456789abcdef"}})
    assert answer["statusCode"] == 404  # of the account


def test_result_of_a_redacted_movement_is_refused(call: Call, ledger: Ledger, database: str) -> None:
    call("/CreateAccount", accountId="A", requestId="r1")
    call("/AddFunds", accountId="A", amount="5", requestId="r2")
    call("/AddFunds", accountId="A", amount="6", requestId="r3")
    with connect(database) as connection:
        (document,) = connection.execute(
            "SELECT document_id FROM journal.revision WHERE table_name = 'Wallet' LIMIT 1"
        ).fetchone() or ("",)
    redact_revision(ledger, document, 1)
    assert call("/AddFunds", accountId="A", amount="5", requestId="r2")[1]["currentBalance"] == "5"
    status, problem = call("/AddFunds", accountId="A", amount="6", requestId="r3")
    assert (status, problem["type"].rpartition(":")[2]) == (409, "request-lost")
    assert call("/CheckFunds", accountId="A")[1]["balance"] == "11"


def test_requests_are_neither_logged_nor_quoted(call: Call, api: Api) -> None:
    secret = "ACC-SECRET-7"
    with capture_logs() as logs:
        answers = [
            call("/CreateAccount", accountId=secret, requestId=f"{secret}-1"),
            call("/CreateAccount", accountId=secret, requestId=f"{secret}-2"),
            call("/WithdrawFunds", accountId=secret, amount="77.77", requestId=f"{secret}-3"),
            call("/CheckFunds", accountId=secret + "x"),
            call("/AddFunds", accountId=secret, amount=secret, requestId=f"{secret}-4"),
        ]
        api.wallet._ledger.url = "postgresql://127.0.0.1:1/none"  # a repetition is looked up there
        answers.append(call("/CreateAccount", accountId=secret, requestId=f"{secret}-1"))
    assert [status for status, _ in answers] == [201, 409, 409, 404, 400, 503]
    assert all(secret not in json.dumps(problem) for _, problem in answers[1:])
    assert len(logs) == 7
    assert secret not in str(logs)
    assert "77.77" not in str(logs)
