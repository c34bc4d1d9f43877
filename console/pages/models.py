"""Read models: their state, what they hold, and rebuilds, rollbacks and retries."""

from dataclasses import asdict
from typing import Any

from strandline.console import audit, jobs
from strandline.console.page import Answer, Asked, Elsewhere, Missing, Page
from strandline.consumer.generations.lifecycle import retry
from strandline.consumer.generations.rollback import rollback
from strandline.consumer.generations.state import ProjectionStatus, parked
from strandline.consumer.monitoring.as_json import projection_json
from strandline.consumer.monitoring.status import Status, read_status
from strandline.consumer.projection.definition import BlockProjection, Projection, computed

READ_GENERATIONS = """
    SELECT generation, state, position, created_at, served_at, failure, failed_at, forced, passed_change,
           (SELECT count(*) FROM projection.parked p WHERE p.generation = g.generation), filled, to_fill
    FROM projection.generation g WHERE projection = %s ORDER BY generation DESC"""
# Of the database's statistics: counting takes long.
READ_ROWS = "SELECT name, rows, as_of_time FROM read.read_models"
JOBS_SHOWN = 10


def models(asked: Asked) -> Page:
    found, rows = _read(asked)
    data = {
        "projections": [projection_json(one) for one in found.projections],
        "other_generations": [asdict(one) for one in found.other_generations],
    }
    known = asked.console.projections
    shown = [(one, known[one.name], rows.get(one.name)) for one in found.projections]
    with asked.console.status() as connection:
        running = [one for one in jobs.read_jobs(connection, JOBS_SHOWN, "rebuild") if one.state == "running"]
    return Page("models.html", data, {"shown": shown, "moved_at": found.moved_at, "running": running})


def model(asked: Asked) -> Page:
    return _page(asked)


def start_rebuild(asked: Asked) -> Answer:
    asked.require("operator")
    name = _projection(asked).name
    accept = asked.form.get("accept") == "yes"
    audit.record(asked, "rebuild", detail=f"{name}{', accepting differences' if accept else ''}")
    return Elsewhere(f"/jobs/{jobs.start(asked, 'rebuild', name, {'accept': accept})}")


def roll_back(asked: Asked) -> Answer:
    asked.require("operator")
    name = _projection(asked).name
    audit.record(asked, "rollback", detail=name)
    console = asked.console
    done = rollback(console.url, console.projections, name, stores=console.stores)
    return _page(asked, f"Serving generation {done.generation} again: {done.rows:,} rows.")


def run_parked(asked: Asked) -> Answer:
    asked.require("operator")
    name = _projection(asked).name
    console, key = asked.console, asked.form.get("document") or None
    document = None if key is None else _parked_document(asked, name, key)
    audit.record(asked, "retry", document, detail=name)
    done = retry(console.url, console.projections, name, console.stores, key=key)
    number = f"{done.retried:,} parked document{'' if done.retried == 1 else 's'}"
    return _page(
        asked, f"Retried {number}; {done.parked:,} of them {'is' if done.parked == 1 else 'are'} parked again."
    )


def _parked_document(asked: Asked, name: str, key: str) -> str | None:
    """Return what the audit may say of a parked key: a document's id, never a composed key."""
    with asked.console.auditor() as connection, connection.transaction():
        found = next((one for one in parked(connection) if (one.projection, one.key) == (name, key)), None)
    if found is None:
        raise Missing("Nothing is parked under this name any more.")
    return None if found.is_composed else found.key


def _page(asked: Asked, said: str | None = None) -> Page:
    projection = _projection(asked)
    found, rows = _read(asked)
    one = next((one for one in found.projections if one.name == projection.name), None)
    if one is None:
        raise Missing(f"The ledger has none of the tables of {projection.name}.")
    with asked.console.status() as connection:
        with connection.transaction():
            generations = connection.execute(READ_GENERATIONS, [projection.name]).fetchall()
        done = jobs.read_jobs(connection, JOBS_SHOWN, "rebuild", projection.name)
    columns = [{"name": column.name, "type": column.type, "description": column.description}
               for column in projection.columns]  # fmt: skip
    columns += [{"name": each.name, "type": "computed", "description": each.description}
                for each in computed(projection)]  # fmt: skip
    data = {
        **projection_json(one),
        "purpose": projection.purpose,
        "readers": projection.readers,
        "tables": [] if isinstance(projection, BlockProjection) else list(projection.tables),
        "columns": columns,
        "generations": [_generation_json(row) for row in generations],
        "jobs": [each.as_dict() for each in done],
        "said": said,
    }
    running = any(each.state == "running" for each in done)
    return Page(
        "model.html",
        data,
        {
            "one": one,
            "why": _why_rebuild(one),
            "rows": rows.get(one.name),
            "jobs": done,
            "running": running,
            "moved_at": found.moved_at,
            "kept": any(row[1] in ("kept", "frozen") for row in generations),
            "said": said,
        },
    )


def _projection(asked: Asked) -> Projection:
    projection = asked.console.projections.get(asked.path["name"])
    if projection is None:
        raise Missing("There is no read model of this name.")
    return projection


def _read(asked: Asked) -> tuple[Status, dict[str, tuple[Any, ...]]]:
    """Return the status, and rows and time of each live read model."""
    console = asked.console
    with console.status() as connection:
        found = read_status(connection, console.projections.values(), console.stores)
    with console.auditor() as connection, connection.transaction():
        rows = {name: (number, at) for name, number, at in connection.execute(READ_ROWS)}
    return found, rows


def _why_rebuild(one: ProjectionStatus) -> str | None:
    if not one.needs_rebuild:
        return None
    return "its definition, or blocks that it has already read, have changed"


def _generation_json(row: tuple[Any, ...]) -> dict[str, object]:
    names = (
        "generation", "state", "position", "created_at", "served_at", "failure", "failed_at", "forced", "passed_change",
        "parked", "filled", "to_fill",
    )  # fmt: skip
    found = dict(zip(names, row, strict=True))
    for name in ("created_at", "served_at", "failed_at"):
        found[name] = found[name].isoformat() if found[name] else None
    if found["state"] != "building":
        found.update(filled=None, to_fill=None)
    return found
