"""The routes of the control API: which operation a request calls, and whether its client may."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from strandline.journal.errors import StrandlineError
from strandline.ledger.endpoint import refusals
from strandline.ledger.endpoint.control import exports, ledgers, proofs, streams, tags
from strandline.ledger.endpoint.control.call import Answer, Call
from strandline.ledger.endpoint.jobs import Jobs
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.rights import Caller
from strandline.ledger.endpoint.served import ServedLedgers, check_operation
from strandline.ledger.publish.period import EmptyJournal

_LEDGER = "/ledgers/(?P<name>[^/]+)"
_EXPORTS, _STREAMS = f"{_LEDGER}/journal-s3-exports", f"{_LEDGER}/journal-kinesis-streams"
_ID = "/(?P<id>[^/]+)"
_TAGS = "/tags/(?P<arn>.+)"
Operation = Callable[[Call], Answer]
ROUTES: tuple[tuple[str, str, str, Operation], ...] = (
    ("GET", "/ledgers", "ListLedgers", ledgers.list_ledgers),
    ("POST", "/ledgers", "CreateLedger", ledgers.create_ledger),
    ("GET", _LEDGER, "DescribeLedger", ledgers.describe_ledger),
    ("PATCH", _LEDGER, "UpdateLedger", ledgers.update_ledger_),
    ("DELETE", _LEDGER, "DeleteLedger", ledgers.delete_ledger_),
    ("PATCH", f"{_LEDGER}/permissions-mode", "UpdateLedgerPermissionsMode", ledgers.update_permissions_mode),
    ("POST", f"{_LEDGER}/digest", "GetDigest", proofs.get_digest),
    ("POST", f"{_LEDGER}/block", "GetBlock", proofs.get_block),
    ("POST", f"{_LEDGER}/revision", "GetRevision", proofs.get_revision),
    ("POST", _EXPORTS, "ExportJournalToS3", exports.export_journal),
    ("GET", _EXPORTS, "ListJournalS3ExportsForLedger", exports.list_exports_of_ledger),
    ("GET", _EXPORTS + _ID, "DescribeJournalS3Export", exports.describe_export),
    ("GET", "/journal-s3-exports", "ListJournalS3Exports", exports.list_exports),
    ("POST", _STREAMS, "StreamJournalToKinesis", streams.stream_journal),
    ("GET", _STREAMS, "ListJournalKinesisStreamsForLedger", streams.list_streams),
    ("GET", _STREAMS + _ID, "DescribeJournalKinesisStream", streams.describe_stream),
    ("DELETE", _STREAMS + _ID, "CancelJournalKinesisStream", streams.cancel_stream),
    ("GET", _TAGS, "ListTagsForResource", tags.list_tags),
    ("POST", _TAGS, "TagResource", tags.tag),
    ("DELETE", _TAGS, "UntagResource", tags.untag),
)
_COMPILED = [(method, re.compile(path), name, operation) for method, path, name, operation in ROUTES]


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A request; path and query are as sent, percent-encoded."""

    caller: Caller
    method: str
    path: str
    query: str
    body: bytes


class Control:
    """Answers the control API's requests."""

    def __init__(self, served: ServedLedgers, jobs: Jobs | None) -> None:
        self._served = served
        self._jobs = jobs

    def answer(self, request: ControlRequest) -> Answer:
        """Return the answer of the operation. Raises Refusal: what a ledger does not have is a wrong parameter."""
        for method, path, name, operation in _COMPILED:
            found = path.fullmatch(request.path) if method == request.method else None
            if found is None:
                continue
            names = {key: unquote(value) for key, value in found.groupdict().items()}
            ledger = tags.ledger_of(names) if "arn" in names else names.get("name")
            check_operation(request.caller, name, ledger)
            query = parse_qs(request.query, keep_blank_values=True)
            call = Call(self._served, self._jobs, request.caller, name, names, query, request.body)
            try:
                return operation(call)
            except EmptyJournal as error:
                raise refusals.precondition("Ledger", call.ledger, str(error)) from None
            except StrandlineError as error:
                refusal = refusals.refusal_of(error)
                raise refusal if refusal.status != 400 else refusals.invalid_parameter(str(error)) from None
        raise Refusal("ResourceNotFoundException", "This operation of QLDB's is not served", 404)
