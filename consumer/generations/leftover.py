"""The remains of an interrupted rebuild: a generation that nothing fills until the next one, or half of a cut-over."""

from collections.abc import Collection
from contextlib import suppress

from strandline.consumer.database.connection import Connection
from strandline.consumer.generations import exclusion, generation
from strandline.consumer.generations.generation import Generation
from strandline.consumer.generations.hold import LeaseHold, hold, intended
from strandline.consumer.generations.purge_by_source import WAIT_SECONDS
from strandline.consumer.generations.stages import SHOW, Run, run_stages
from strandline.consumer.generations.stores import Stores
from strandline.consumer.projection.definition import Projection
from strandline.consumer.projection.fingerprint import fingerprint
from strandline.consumer.sinks.contract import StoreLacks
from strandline.consumer.sinks.patience import ReadersInTheWay

READ_ORIGIN = "SELECT origin FROM journal.mark"
# A first generation, which has no live one, is resumed or dropped by the next projector (first_generation.py).
READ_UNCLEAN = """
    SELECT b.generation FROM projection.generation b, journal.mark m
    WHERE b.projection = %(name)s AND b.state = 'building'
      AND EXISTS (SELECT FROM projection.generation l WHERE l.projection = %(name)s AND l.state = 'live')
      AND EXISTS (
          SELECT FROM journal.redaction d WHERE d.effective_no <= m.sequence_no AND d.effective_no > b.clean_no)"""
# A process that builds it holds the lock on its name.
READ_UNKNOWN = """
    SELECT g.generation FROM projection.generation g, journal.mark m
    WHERE g.state = 'building' AND g.projection <> ALL (%s) AND EXISTS (
        SELECT FROM journal.redaction d
        WHERE d.effective_no <= m.sequence_no AND d.effective_no > g.clean_no
          AND d.registered_at < now() - make_interval(secs => %s))"""


def resumable(connection: Connection, projection: Projection, stores: Stores) -> Generation | None:
    """Return the generation with which the next run (a rebuild, or a first generation) goes on after the backfill.

    One that cannot be resumed is dropped: one of another definition, or that the journal changed below, or whose
    backfill did not end, or whose index is missing.
    """
    with connection.transaction():
        left = generation.building(connection, projection)
    if left is None or _can_resume(connection, projection, left, stores):
        return left
    exclusion.drop(connection, left, stores)
    return None


def finish_cut_over(connection: Connection, projection: Projection, stores: Stores) -> None:
    """Finish an interrupted cut-over outside the database. The caller locks out other rebuilds (`exclusion.alone`).

    The chosen generation was compared before. It catches up first: redactions may have reached the one served since.
    If its definition is gone it cannot, and the alias is moved back.
    """
    number = intended(connection, projection)
    if number is None:
        return
    with connection.transaction():
        chosen, live = generation.read(connection, number), generation.live(connection, projection)
    if chosen is None or live is None:
        return
    if chosen.fingerprint == fingerprint(projection):
        run_stages(SHOW, Run(stores.url, connection, projection, stores, live, chosen))
        return
    with hold(connection, projection, stores, [live, chosen]) as held:
        assert isinstance(held, LeaseHold)
        held.take_back(chosen, live)


def clean_up(connection: Connection, projection: Projection, stores: Stores) -> None:
    """Finish an interrupted cut-over, and drop a generation that redactions have not reached, if no rebuild runs.

    Raises `StoreFailed` or `ReadersInTheWay`.
    """
    if intended(connection, projection) is None and not _is_unclean(connection, projection):
        return
    with exclusion.try_alone(connection, projection.name) as free:
        if not free:
            return
        finish_cut_over(connection, projection, stores)
        if _is_unclean(connection, projection):
            with connection.transaction():
                left = generation.building(connection, projection)
            if left is not None:
                exclusion.drop(connection, left, stores)


def drop_unknown(connection: Connection, known: Collection[str], stores: Stores) -> None:
    """Drop what an interrupted build has left of read models that are not among the `known`.

    Their file is gone, and a redaction has waited for an hour to reach them. Raises `StoreFailed`.
    """
    with connection.transaction():
        numbers = connection.execute(READ_UNKNOWN, [list(known), WAIT_SECONDS]).fetchall()
        left = [one for (number,) in numbers if (one := generation.read(connection, number))]
    for one in left:
        with exclusion.try_alone(connection, one.projection) as free:
            if free and not stores.off(one.store):
                with suppress(ReadersInTheWay):  # the next call tries again
                    exclusion.drop(connection, one, stores)


def _can_resume(connection: Connection, projection: Projection, left: Generation, stores: Stores) -> bool:
    with connection.transaction():
        (origin,) = connection.execute(READ_ORIGIN).fetchone() or (0,)
    if left.fingerprint != fingerprint(projection) or left.passed_change or left.position < origin:
        return False
    try:
        stores.stored(connection, left.store, left.generation, left.relation).check()
    except StoreLacks:
        return False
    return True


def _is_unclean(connection: Connection, projection: Projection) -> bool:
    with connection.transaction():
        return connection.execute(READ_UNCLEAN, {"name": projection.name}).fetchone() is not None
