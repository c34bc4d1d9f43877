"""All checks, in the order in which a person would look."""

from collections.abc import Iterator

from strandline.consumer.database.connection import open_database
from strandline.consumer.diagnosis.configuration import check_projections, check_settings
from strandline.consumer.diagnosis.finding import Finding, Findings
from strandline.consumer.diagnosis.opensearch import check_opensearch
from strandline.consumer.diagnosis.postgresql import check_postgresql
from strandline.consumer.diagnosis.program import check_disk, check_program
from strandline.consumer.diagnosis.stream import check_stream
from strandline.consumer.settings import load_settings
from strandline.journal.errors import UsageError


def diagnose() -> Iterator[Finding]:
    """Yield the findings, area by area. Changes nothing; starts the embedded PostgreSQL if no other is set."""
    program = Findings("program", [])
    check_program(program)
    yield from program.found
    configuration = Findings("settings", [])
    try:
        settings = load_settings()
    except UsageError as error:
        for line in str(error).splitlines():
            configuration.fault("settings", line, "correct it: no command runs until then")
        yield from configuration.found
        return
    check_settings(configuration, settings)
    check_projections(configuration, settings)
    yield from configuration.found
    disk = Findings("disk", [])
    check_disk(disk, settings)
    yield from disk.found
    database = Findings("database", [])
    with database.guarded("connection"), open_database(settings) as url:
        check_postgresql(database, url)
    yield from database.found
    search = Findings("opensearch", [])
    check_opensearch(search, settings)
    yield from search.found
    stream = Findings("stream", [])
    check_stream(stream, settings)
    yield from stream.found
