"""QLDB's session API: one operation, SendCommand, with one command in it (AWS's model `qldb-session/2019-07-11`)."""

import time
from base64 import b64decode, b64encode
from typing import Annotated, Any

import msgspec

from strandline.journal.errors import StrandlineError
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.rights import SEND, Caller
from strandline.ledger.endpoint.served import ServedLedgers, check_operation
from strandline.ledger.endpoint.sessions import Page, Session, Sessions
from strandline.ledger.errors import WrongDocument
from strandline.ledger.open_transaction import Rows
from strandline.ledger.values import read_value

MOST_PARAMETER_BYTES = 128 * 1024

Answer = dict[str, Any]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z-0-9]{22}$")]
_Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/=-]{4,1024}$")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]


class _Value(msgspec.Struct):
    IonBinary: str | None = None
    IonText: str | None = None


class _StartSession(msgspec.Struct):
    LedgerName: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,32}$")]


class _Nothing(msgspec.Struct):
    pass


class _ExecuteStatement(msgspec.Struct):
    TransactionId: _Id
    Statement: _Text
    Parameters: list[_Value] | None = None


class _FetchPage(msgspec.Struct):
    TransactionId: _Id
    NextPageToken: _Token


class _CommitTransaction(msgspec.Struct):
    TransactionId: _Id
    CommitDigest: str


class Command(msgspec.Struct):
    """The request: a token, unless a session is to start, and one command."""

    SessionToken: _Token | None = None
    StartSession: _StartSession | None = None
    StartTransaction: _Nothing | None = None
    EndSession: _Nothing | None = None
    CommitTransaction: _CommitTransaction | None = None
    AbortTransaction: _Nothing | None = None
    ExecuteStatement: _ExecuteStatement | None = None
    FetchPage: _FetchPage | None = None


_DECODER = msgspec.json.Decoder(Command)


def read_command(body: bytes) -> Command:
    """Return the command of a request. Raises Refusal; the error holds names, no values."""
    try:
        command = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise refusals.bad_request(f"The request is not valid: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refusals.Refusal("SerializationException", "The request's body is not JSON") from None
    given = [name for name in command.__struct_fields__[1:] if getattr(command, name) is not None]
    if len(given) != 1:
        raise refusals.bad_request("The request holds one command")
    return command


def run_command(
    sessions: Sessions, ledgers: ServedLedgers, caller: Caller, session: Session | None, command: Command
) -> Answer:
    """Run a client's command and return the answer. The session's turn is held."""
    begun = time.monotonic()
    try:
        if session is None:
            return _start_session(sessions, ledgers, caller, command, begun)
        with session.using:
            if session.ended:  # while this command waited for its turn
                raise refusals.invalid_session("Invalid session")
            try:
                return _in_session(sessions, ledgers, session, command, begun)
            finally:
                session.used = time.monotonic()
    except StrandlineError as error:
        raise refusals.refusal_of(error) from None


def _start_session(
    sessions: Sessions, ledgers: ServedLedgers, caller: Caller, command: Command, begun: float
) -> Answer:  # fmt: skip
    assert command.StartSession is not None
    name = command.StartSession.LedgerName
    check_operation(caller, SEND, name)
    try:
        ledger = ledgers.open(name)
    except refusals.Refusal:
        raise refusals.bad_request(f"Ledger with name {name} is not found") from None
    return {"StartSession": {"SessionToken": sessions.start_session(name, ledger, caller), **_timing(begun)}}


def _in_session(
    sessions: Sessions, ledgers: ServedLedgers, session: Session, command: Command, begun: float
) -> Answer:  # fmt: skip
    assert command.SessionToken is not None
    if command.StartTransaction is not None:
        name = session.ledger_name
        may = session.caller.statements(name, lambda: ledgers.mode(name))
        return {"StartTransaction": {"TransactionId": session.start_transaction(may), **_timing(begun)}}
    if (execute := command.ExecuteStatement) is not None:
        parameters = [_value(one) for one in execute.Parameters or ()]
        page, rows = session.execute(execute.TransactionId, execute.Statement, parameters)
        return {"ExecuteStatement": {"FirstPage": _page(page), **_timing(begun), **_reads(rows)}}
    if (fetch := command.FetchPage) is not None:
        page, rows = session.fetch(fetch.TransactionId, fetch.NextPageToken)
        return {"FetchPage": {"Page": _page(page), **_timing(begun), **_reads(rows)}}
    if (commit := command.CommitTransaction) is not None:
        digest, written = session.commit(commit.TransactionId, commit.CommitDigest)
        done = {"TransactionId": commit.TransactionId, "CommitDigest": b64encode(digest).decode()}
        return {"CommitTransaction": {**done, **_timing(begun), "ConsumedIOs": {"ReadIOs": 0, "WriteIOs": written}}}
    if command.AbortTransaction is not None:
        session.end_transaction()
        return {"AbortTransaction": _timing(begun)}
    sessions.end_session(command.SessionToken)
    return {"EndSession": _timing(begun)}


def _value(given: _Value) -> Any:
    """Return a parameter's Ion value."""
    try:
        data = b64decode(given.IonBinary, validate=True) if given.IonBinary else (given.IonText or "").encode()
        if len(data) > MOST_PARAMETER_BYTES:
            raise refusals.bad_request(f"A parameter has at most {MOST_PARAMETER_BYTES:,} bytes")
        return read_value(data)
    except WrongDocument as error:
        raise refusals.bad_request(f"A parameter is {error}") from None
    except (StrandlineError, ValueError, RecursionError):
        raise refusals.bad_request("A parameter is not one Ion value") from None


def _page(page: Page) -> Answer:
    values, token = page
    answer: Answer = {"Values": [{"IonBinary": b64encode(value).decode()} for value in values]}
    return answer if token is None else {**answer, "NextPageToken": token}


def _timing(begun: float) -> Answer:
    return {"TimingInformation": {"ProcessingTimeMilliseconds": round((time.monotonic() - begun) * 1000)}}


def _reads(rows: Rows) -> Answer:
    return {"ConsumedIOs": {"ReadIOs": rows.new_reads(), "WriteIOs": 0}}
