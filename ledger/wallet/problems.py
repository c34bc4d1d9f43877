"""Errors of a request to the wallet, as problems of RFC 9457. Their texts never contain a value."""

from typing import ClassVar

from strandline.journal.errors import StrandlineError


class Problem(StrandlineError):
    """A request was refused; nothing was written."""

    status: ClassVar[int]
    kind: ClassVar[str]
    title: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}

    @property
    def body(self) -> dict[str, object]:
        return {
            "type": f"urn:problem-type:strandline:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": str(self),
        }


class WrongRequest(Problem):
    status, kind, title = 400, "wrong-request", "The request is malformed"


class NotAuthorized(Problem):
    status, kind, title = 401, "not-authorized", "The bearer token is missing or wrong"
    headers: ClassVar = {"www-authenticate": "Bearer"}


class NoSuchAccount(Problem):
    status, kind, title = 404, "no-such-account", "There is no such account"


class NoSuchProfile(Problem):
    status, kind, title = 404, "no-such-profile", "There is no such profile"


class FromElsewhere(Problem):
    status, kind, title = 403, "from-elsewhere", "The request does not come from a program on this machine"


class NotFound(Problem):
    status, kind, title = 404, "not-found", "Nothing is served at this path"


class WrongMethod(Problem):
    status, kind, title = 405, "wrong-method", "The path needs another method"


class AccountExists(Problem):
    status, kind, title = 409, "account-exists", "The account exists already"


class InsufficientFunds(Problem):
    status, kind, title = 409, "insufficient-funds", "The balance is less than the amount"


class NotReady(Problem):
    status, kind, title = 409, "not-ready", "The wallet's table is missing or incomplete"


class OddAccount(Problem):
    status, kind, title = 409, "odd-account", "The account cannot be used"


class RequestLost(Problem):
    status, kind, title = 409, "request-lost", "The request happened before, and its result is no longer available"


class TooLarge(Problem):
    status, kind, title = 413, "too-large", "The request is too large"


class WrongType(Problem):
    status, kind, title = 415, "wrong-type", "The body is not declared as JSON"


class RequestReused(Problem):
    status, kind, title = 422, "request-reused", "Another request had this requestId"


class Failed(Problem):
    status, kind, title = 500, "failed", "The request failed"


class Busy(Problem):
    """The request may have happened: asked again under the same id, it happens once."""

    status, kind, title = 503, "busy", "The ledger cannot take the request now"
    headers: ClassVar = {"retry-after": "1"}
