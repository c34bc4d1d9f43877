"""Errors as QLDB's API answers them. Its drivers decide by code and status whether they try again.

The drivers retry OccConflictException, InvalidSessionException, and the statuses 500 and 503; nothing else.
"""

from strandline.consumer.database.errors import DatabaseError
from strandline.journal.errors import StrandlineError
from strandline.ledger.errors import Conflict, TransactionExpired
from strandline.ledger.execution.access import AccessDenied


class Refusal(Exception):
    """An answer with an error; `more` are further members of its body."""

    def __init__(self, code: str, message: str, status: int = 400, **more: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.more = more


def bad_request(message: str) -> Refusal:
    return Refusal("BadRequestException", message)


def invalid_session(message: str) -> Refusal:
    return Refusal("InvalidSessionException", message)


def occ_conflict(message: str) -> Refusal:
    return Refusal("OccConflictException", f"Optimistic concurrency control failure: {message}")


def capacity_exceeded() -> Refusal:
    return Refusal("CapacityExceededException", "Capacity exceeded", 503)


def limit_exceeded(message: str) -> Refusal:
    return Refusal("LimitExceededException", message)


def invalid_parameter(message: str, parameter: str | None = None) -> Refusal:
    code = "InvalidParameterException"
    return Refusal(code, message) if parameter is None else Refusal(code, message, ParameterName=parameter)


def access_denied(message: str) -> Refusal:
    return Refusal("AccessDeniedException", message)


def precondition(kind: str, name: str, message: str) -> Refusal:
    code = "ResourcePreconditionNotMetException"
    return Refusal(code, message, 412, ResourceType=kind, ResourceName=name)


def not_found(kind: str, name: str) -> Refusal:
    message = f"The {kind} with name {name} is not found"
    return Refusal("ResourceNotFoundException", message, 404, ResourceType=kind, ResourceName=name)


def forbidden(code: str, message: str) -> Refusal:
    return Refusal(code, message, 403)


def refusal_of(error: StrandlineError) -> Refusal:
    """Return the answer for an error of the ledger."""
    if isinstance(error, Conflict):
        return occ_conflict(str(error))
    if isinstance(error, TransactionExpired):
        return invalid_session(str(error))
    if isinstance(error, AccessDenied):
        return access_denied(str(error))
    if isinstance(error, DatabaseError):
        return Refusal("ServiceUnavailableException", "The ledger's database cannot be reached.", 503)
    return bad_request(str(error))
