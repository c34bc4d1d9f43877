"""The operations on ledgers."""

from typing import Literal

import msgspec

from strandline.consumer.database.ledgers import (
    NAME,
    CataloguedLedger,
    LedgerExists,
    Protected,
    add_ledger,
    delete_ledger,
    read_ledger,
    read_ledgers,
    update_ledger,
)
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.control import tags
from strandline.ledger.endpoint.control.call import Answer, Call, seconds
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.served import arn

MOST_LEDGERS = 100
OWNED_KEY = "AWS_OWNED_KMS_KEY"
KIND = "Ledger"

_Mode = Literal["ALLOW_ALL", "STANDARD"]


class _Create(msgspec.Struct):
    Name: str
    PermissionsMode: _Mode
    DeletionProtection: bool | None = None
    KmsKey: str | None = None
    Tags: dict[str, str | None] | None = None


class _Update(msgspec.Struct):
    DeletionProtection: bool | None = None
    KmsKey: str | None = None


class _UpdateMode(msgspec.Struct):
    PermissionsMode: _Mode


def list_ledgers(call: Call) -> Answer:
    page, more = call.page("Ledgers", call.ledgers.listed(), lambda one: one.name)
    return {"Ledgers": [_summary(one) for one in page], **more}


def describe_ledger(call: Call) -> Answer:
    return _described(call.ledgers.find(call.ledger))


def create_ledger(call: Call) -> Answer:
    """Add a ledger to the catalogue. Its database is made soon; until then its state is CREATING."""
    given = call.body(_Create)
    if not NAME.fullmatch(given.Name):
        raise refusals.invalid_parameter("A ledger's name has 1 to 32 letters, digits and single hyphens", "Name")
    _check_key(given.KmsKey)
    new_tags = tags.checked(given.Tags or {})
    _check_may_create(call)
    with call.catalogue() as connection:
        if len(read_ledgers(connection)) >= MOST_LEDGERS:
            raise Refusal("LimitExceededException", f"There are {MOST_LEDGERS} ledgers, the most", ResourceType=KIND)
        protection = given.DeletionProtection is not False
        try:
            with connection.transaction():
                made = add_ledger(connection, given.Name, given.PermissionsMode, deletion_protection=protection)
                tags.put(connection, f"ledger/{given.Name}", new_tags)
        except LedgerExists:
            found = read_ledger(connection, given.Name)
            in_use = found is not None and found.state != "ACTIVE"
            code = "ResourceInUseException" if in_use else "ResourceAlreadyExistsException"
            message = (
                f"The ledger {given.Name} is {found.state}" if found and in_use else "There is such a ledger already"
            )
            raise Refusal(code, message, 409, ResourceType=KIND, ResourceName=given.Name) from None
    call.wake_jobs()
    return _described(made)


def update_ledger_(call: Call) -> Answer:
    given = call.body(_Update)
    _check_key(given.KmsKey)
    call.ledgers.catalogued(call.ledger)
    with call.catalogue() as connection:
        changed = update_ledger(connection, call.ledger, deletion_protection=given.DeletionProtection)
    return {name: value for name, value in _described(_found(call, changed)).items() if name != "PermissionsMode"}


def update_permissions_mode(call: Call) -> Answer:
    given = call.body(_UpdateMode)
    call.ledgers.catalogued(call.ledger)
    with call.catalogue() as connection:
        changed = update_ledger(connection, call.ledger, mode=given.PermissionsMode)
    described = _described(_found(call, changed))
    return {name: described[name] for name in ("Name", "Arn", "PermissionsMode")}


def delete_ledger_(call: Call) -> Answer:
    """Mark a ledger as DELETING. Its database is dropped soon; until then it is described so."""
    found = call.ledgers.catalogued(call.ledger)
    _check_may_create(call)
    if found.state != "ACTIVE":
        message = f"The ledger {call.ledger} is {found.state}"
        raise Refusal("ResourceInUseException", message, 409, ResourceType=KIND, ResourceName=call.ledger)
    with call.catalogue() as connection:
        try:
            delete_ledger(connection, call.ledger)
        except Protected as error:
            raise refusals.precondition(KIND, call.ledger, str(error)) from None
    call.wake_jobs()
    return {}


def _found(call: Call, ledger: CataloguedLedger | None) -> CataloguedLedger:
    if ledger is None:  # it is being created or deleted
        message = f"The ledger {call.ledger} is not ACTIVE"
        raise Refusal("ResourceInUseException", message, 409, ResourceType=KIND, ResourceName=call.ledger)
    return ledger


def _check_may_create(call: Call) -> None:
    if not call.ledgers.may_create:
        raise refusals.access_denied("Ledgers are created and deleted here only with STRANDLINE_CREATE_LEDGERS=true")


def _check_key(key: str | None) -> None:
    if key not in (None, "", OWNED_KEY):
        raise refusals.invalid_parameter(
            f"Keys of KMS are not used: encrypt the database's storage, and pass {OWNED_KEY}", "KmsKey"
        )


def _summary(ledger: CataloguedLedger) -> Answer:
    return {"Name": ledger.name, "State": ledger.state, "CreationDateTime": seconds(ledger.created_at)}


def _described(ledger: CataloguedLedger) -> Answer:
    return {
        **_summary(ledger),
        "Arn": arn(f"ledger/{ledger.name}"),
        "PermissionsMode": ledger.permissions_mode,
        "DeletionProtection": ledger.deletion_protection,
    }
