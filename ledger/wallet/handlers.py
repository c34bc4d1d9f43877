"""The wallet's functions for AWS Lambda behind API Gateway. `strandline serve wallet` calls the same ones.

In Lambda, the first call reads the settings from the environment. Nothing of a request is logged.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import psycopg
import structlog

from strandline.consumer.database.ledgers import ledger_url
from strandline.consumer.database.password import use_password_source
from strandline.consumer.settings import Settings, load_settings
from strandline.journal.errors import StrandlineError, UsageError
from strandline.ledger import Ledger
from strandline.ledger.wallet.accounts import Wallet
from strandline.ledger.wallet.amounts import read_amount, show_amount
from strandline.ledger.wallet.events import Answer, Event, Request, answer, problem_answer, read_request
from strandline.ledger.wallet.problems import Busy, Failed, NotAuthorized, NotReady, Problem
from strandline.ledger.wallet.profiles import Profiles

Members = Mapping[str, object]

log = structlog.get_logger()


class Api:
    """The wallet, its profiles if they are on, and the token that requests must bear if one is set."""

    def __init__(self, wallet: Wallet, profiles: Profiles | None = None, token: str | None = None) -> None:
        self.wallet = wallet
        self._profiles = profiles
        self._token = token

    @classmethod
    def of(cls, settings: Settings, url: str) -> "Api":
        profiles = Profiles(settings.wallet_profiles) if settings.wallet_profiles else None
        return cls(Wallet(Ledger(url, origin=settings.origin)), profiles, settings.serve_token)

    @property
    def profiles(self) -> Profiles:
        if self._profiles is None:
            raise NotReady("profiles are off: STRANDLINE_WALLET_PROFILES names their DynamoDB table")
        return self._profiles

    @property
    def has_profiles(self) -> bool:
        return self._profiles is not None

    def close(self) -> None:
        self.wallet.close()

    def check_token(self, request: Request) -> None:
        if self._token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            raise NotAuthorized("send Authorization: Bearer, with the token")


def create_table(event: Event, context: object = None) -> Answer:
    """`POST /CreateTable`: 201 `{tableId}`; also creates the profiles' table, if they are on."""
    return _respond("CreateTable", event, 201, _create_table)


def index(event: Event, context: object = None) -> Answer:
    """`POST /Index`: 201 `{index}`."""
    return _respond("Index", event, 201, _index)


def create_account(event: Event, context: object = None) -> Answer:
    """`POST /CreateAccount {accountId, requestId}`: 201 `{accountId, balance}`."""
    return _respond("CreateAccount", event, 201, _create_account)


def check_funds(event: Event, context: object = None) -> Answer:
    """`GET /CheckFunds?accountId=`: 200 `{accountId, balance}`."""
    return _respond("CheckFunds", event, 200, _check_funds)


def add_funds(event: Event, context: object = None) -> Answer:
    """`POST /AddFunds {accountId, amount, requestId}`: 200 `{accountId, previousBalance, currentBalance}`."""
    return _respond("AddFunds", event, 200, lambda api, request: _move(api.wallet.add_funds, request))


def withdraw_funds(event: Event, context: object = None) -> Answer:
    """`POST /WithdrawFunds {accountId, amount, requestId}`: 200, as AddFunds."""
    return _respond("WithdrawFunds", event, 200, lambda api, request: _move(api.wallet.withdraw_funds, request))


def put_profile(event: Event, context: object = None) -> Answer:
    """`POST /PutProfile {accountId, profile}`: 200 `{accountId}`."""
    return _respond("PutProfile", event, 200, _put_profile)


def get_profile(event: Event, context: object = None) -> Answer:
    """`GET /GetProfile?accountId=`: 200 `{accountId, profile}`."""
    return _respond("GetProfile", event, 200, _get_profile)


def delete_profile(event: Event, context: object = None) -> Answer:
    """`POST /DeleteProfile {accountId}`: 200 `{accountId}`."""
    return _respond("DeleteProfile", event, 200, _delete_profile)


Handler = Callable[[Event, object], Answer]
ROUTES: dict[str, tuple[str, Handler]] = {
    "/CreateTable": ("POST", create_table),
    "/Index": ("POST", index),
    "/CreateAccount": ("POST", create_account),
    "/CheckFunds": ("GET", check_funds),
    "/AddFunds": ("POST", add_funds),
    "/WithdrawFunds": ("POST", withdraw_funds),
    "/PutProfile": ("POST", put_profile),
    "/GetProfile": ("GET", get_profile),
    "/DeleteProfile": ("POST", delete_profile),
}

_apis: list[Api] = []


def use(api: Api) -> None:
    """Let the functions of this process use this API instead of the environment's settings."""
    _apis[:] = [api]


@cache
def _from_settings() -> Api:
    settings = load_settings()
    if settings.database_url is None:
        raise UsageError("STRANDLINE_DATABASE_URL is not set: a Lambda function has no database of its own.")
    use_password_source(settings)
    home, name = settings.database_url, settings.ledger
    return Api.of(settings, home if name is None else ledger_url(home, name))


def _respond(name: str, event: Event, status: int, act: Callable[[Api, Request], Members]) -> Answer:
    started = time.monotonic()
    try:
        request = read_request(event)
        api = _apis[0] if _apis else _from_settings()
        api.check_token(request)
        answered = answer(status, act(api, request))
    except Exception as error:
        problem = _problem(name, error)
        answered = problem_answer(problem)
    milliseconds = round((time.monotonic() - started) * 1000)
    log.info("request", action=name, status=answered["statusCode"], milliseconds=milliseconds)
    return answered


def _problem(name: str, error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    log.warning("request failed", action=name, error=type(error).__name__)
    if isinstance(error, StrandlineError | psycopg.OperationalError):
        return Busy("the ledger cannot be written now; send it again with the same requestId")
    # By its kind only: the text may contain anything.
    return Failed(
        f"unexpected error ({type(error).__name__}); whether the request happened is unknown: "
        "send it again with the same requestId"
    )


def _create_table(api: Api, request: Request) -> Members:
    request.expect()
    if api.has_profiles:
        api.profiles.create_table()
    return {"tableId": api.wallet.create_table()}


def _index(api: Api, request: Request) -> Members:
    request.expect()
    api.wallet.create_index()
    return {"index": "accountId"}


def _create_account(api: Api, request: Request) -> Members:
    request.expect("accountId", "requestId")
    account_id, request_id = request.names("accountId", "requestId")
    opened = api.wallet.create_account(account_id, request_id)
    return {"accountId": opened.account_id, "balance": show_amount(opened.balance)}


def _check_funds(api: Api, request: Request) -> Members:
    (account_id,) = request.names("accountId")
    found = api.wallet.check_funds(account_id)
    return {"accountId": found.account_id, "balance": show_amount(found.balance)}


def _move(move: Callable[..., Any], request: Request) -> Members:
    request.expect("accountId", "amount", "requestId")
    account_id, request_id = request.names("accountId", "requestId")
    moved = move(account_id, read_amount(request.members.get("amount")), request_id)
    return {
        "accountId": moved.account_id,
        "previousBalance": show_amount(moved.previous),
        "currentBalance": show_amount(moved.current),
    }


def _put_profile(api: Api, request: Request) -> Members:
    request.expect("accountId", "profile")
    (account_id,) = request.names("accountId")
    profiles = api.profiles
    api.wallet.check_funds(account_id)  # raises if there is no such account
    profiles.put(account_id, request.members.get("profile"))
    return {"accountId": account_id}


def _get_profile(api: Api, request: Request) -> Members:
    (account_id,) = request.names("accountId")
    return {"accountId": account_id, "profile": api.profiles.get(account_id)}


def _delete_profile(api: Api, request: Request) -> Members:
    request.expect("accountId")
    (account_id,) = request.names("accountId")
    api.profiles.delete(account_id)
    return {"accountId": account_id}
