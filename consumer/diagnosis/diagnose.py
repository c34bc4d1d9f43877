"""All checks, in the order in which a person would look."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from strandline.consumer.database.connection import open_database
from strandline.consumer.diagnosis.configuration import check_projections, check_settings
from strandline.consumer.diagnosis.finding import Finding, Findings
from strandline.consumer.diagnosis.opensearch import check_opensearch
from strandline.consumer.diagnosis.postgresql import check_postgresql
from strandline.consumer.diagnosis.program import check_disk, check_program
from strandline.consumer.diagnosis.stream import check_stream
from strandline.consumer.settings import Settings, load_settings
from strandline.journal.errors import UsageError


def diagnose() -> Iterator[Finding]:
    """Yield the findings, area by area. Changes nothing; starts the embedded PostgreSQL if no other is set."""
    yield from _checked("program", check_program)
    try:
        settings = load_settings()
    except UsageError as error:
        yield from _checked("settings", partial(_refuse, lines=str(error).splitlines()))
        return
    yield from _checked("settings", partial(check_settings, settings=settings))
    yield from _checked("settings", partial(check_projections, settings=settings))
    yield from _checked("disk", partial(check_disk, settings=settings))
    yield from _checked("database", partial(_check_database, settings=settings))
    yield from _checked("opensearch", partial(check_opensearch, settings=settings))
    yield from _checked("stream", partial(check_stream, settings=settings))


def _checked(area: str, check: Callable[[Findings], None]) -> list[Finding]:
    findings = Findings(area)
    check(findings)
    return findings.found


def _refuse(findings: Findings, lines: Iterable[str]) -> None:
    for line in lines:
        findings.fault("settings", line, "correct it: no command runs until then")


def _check_database(findings: Findings, settings: Settings) -> None:
    with findings.guarded("connection"), open_database(settings) as url:
        check_postgresql(findings, url)
