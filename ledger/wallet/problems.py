"""What a request to the wallet can fail with, as problems of RFC 9457; no text of theirs holds a value."""

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
    status, kind, title = 400, "wrong-request", "The request is not one that this takes"


class NotAuthorized(Problem):
    status, kind, title = 401, "not-authorized", "The bearer token is missing or wrong"
    headers: ClassVar = {"www-authenticate": "Bearer"}


class NoSuchAccount(Problem):
    status, kind, title = 404, "no-such-account", "There is no such account"


class NoSuchProfile(Problem):
    status, kind, title = 404, "no-such-profile", "There is no such profile"


class NotFound(Problem):
    status, kind, title = 404, "not-found", "There is nothing at this path"


class WrongMethod(Problem):
    status, kind, title = 405, "wrong-method", "The path takes another method"


class AccountExists(Problem):
    status, kind, title = 409, "account-exists", "The account exists already"


class InsufficientFunds(Problem):
    status, kind, title = 409, "insufficient-funds", "The account has not that much"


class NotReady(Problem):
    status, kind, title = 409, "not-ready", "The wallet's table is not as it should be"


class OddAccount(Problem):
    status, kind, title = 409, "odd-account", "The account is not one that can be worked with"


class RequestLost(Problem):
    status, kind, title = 409, "request-lost", "The request happened before, and its result can no longer be had"


class TooLarge(Problem):
    status, kind, title = 413, "too-large", "The request is too large"


class RequestReused(Problem):
    status, kind, title = 422, "request-reused", "Another request had this requestId"


class Failed(Problem):
    status, kind, title = 500, "failed", "The request failed"


class Busy(Problem):
    """The request may have happened: asked again under the same id, it happens once."""

    status, kind, title = 503, "busy", "The ledger cannot take the request now"
    headers: ClassVar = {"retry-after": "1"}
