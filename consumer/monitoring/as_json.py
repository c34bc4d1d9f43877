"""The JSON of `status`, for the command and for the console."""

from collections.abc import Sequence
from dataclasses import asdict

from strandline.consumer.exports.register import Export
from strandline.consumer.generations.state import ProjectionStatus
from strandline.consumer.monitoring.presence import WorkerState
from strandline.consumer.monitoring.status import Status
from strandline.consumer.store.streams import StreamState
from strandline.journal.decode.kernel import KERNEL


def status_json(
    found: Status,
    streams: Sequence[StreamState],
    workers: Sequence[WorkerState],
    hints: Sequence[str],
    *,
    opensearch: bool,
    exports: Sequence[Export],
) -> dict[str, object]:
    """Return the whole object."""
    return {
        "mark": found.mark,
        "head": found.head,
        "origin": found.origin,
        "gaps": found.gaps,
        "accepted_gaps": [[gap.first_no, gap.last_no] for gap in found.accepted_gaps],
        "incomplete_blocks": asdict(found.incomplete_blocks),
        "rejected": found.rejected,
        "projections": [projection_json(one) for one in found.projections],
        "other_generations": [asdict(one) for one in found.other_generations],
        "redactions": asdict(found.redactions),
        "strand_id": found.strand_id,
        "restored": found.restored.as_dict(),
        **found.claims.as_dict(),
        "mark_moved_at": found.moved_at.isoformat() if found.moved_at else None,
        "digest_checks": [one.as_dict() for one in found.digest_checks],
        "exports": [one.as_dict() for one in exports],
        "verification": None if found.verification is None else found.verification.as_dict(),
        "streams": [stream_json(one) for one in streams],
        "workers": [_worker_json(one) for one in workers],
        "hints": list(hints),
        "opensearch": "on" if opensearch else "off",
        "kernel": KERNEL,
    }


def projection_json(one: ProjectionStatus) -> dict[str, object]:
    """Return the object of one read model."""
    return {
        "name": one.name,
        "store": one.store,
        "generation": one.generation,
        "position": one.position,
        "state": one.state,
        "lag_blocks": one.lag_blocks,
        "lag_seconds": one.lag_seconds,
        "parked": one.parked,
        "failure": one.failure,
        "failed_at": one.failed_at.isoformat() if one.failed_at else None,
    }


def stream_json(one: StreamState) -> dict[str, object]:
    return {
        "name": one.name,
        "state": one.state,
        "since": one.since.isoformat(),
        "heard_at": one.heard_at.isoformat(),
        "fault": one.fault,
    }


def _worker_json(one: WorkerState) -> dict[str, object]:
    return {"id": one.id, "state": one.state, "since": one.since.isoformat(), "seen_at": one.seen_at.isoformat()}
