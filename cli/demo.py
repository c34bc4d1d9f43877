"""The command `demo`."""

import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.console import ADDRESS, serve_console
from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json, show_table
from strandline.cli.replay import replay_and_project
from strandline.cli.session import discover_projections, open_store, start_log
from strandline.cli.simulate import write_journal
from strandline.cli.verify import check_sources
from strandline.consumer.extras import needs_extra
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.make.format import Format
from strandline.journal.simulation.names import LedgerName

if TYPE_CHECKING:
    from strandline.consumer.projection.definition import Projection
    from strandline.consumer.settings import Settings
    from strandline.journal.simulation.strand import Simulated
    from strandline.journal.sources.source import Source

BLOCKS = {
    LedgerName.LICENSING: 2_000,
    LedgerName.WALLET: 400,
    LedgerName.PROVENANCE: 150,
    LedgerName.AI_AUDIT: 400,
}
SEED = 1868  # the same journal each time, so that a second demo finds it ingested
FOLDER = "demo"
VERIFIED = (
    "VERIFIED: the journal is consistent with itself and with the digest saved when it was made.\n"
    "Of a real journal, only a digest saved while QLDB ran shows that QLDB wrote it."
)
TRY = {
    LedgerName.LICENSING: (
        "sql 'SELECT county, status, count(*) FROM read.licence_register GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10'",
        "sql 'SELECT * FROM read.ledger_activity WHERE redactions > 0 LIMIT 5'",
        "sql \"SELECT document_id, version, state, metadata->>'txTime' AS at FROM ledger.history('Licence') LIMIT 10\"",
        "sql 'SELECT document_id, data FROM ledger.\"Licence\" LIMIT 3'",
    ),
    LedgerName.WALLET: (
        "sql 'SELECT * FROM read.wallet_balance ORDER BY balance DESC LIMIT 5'",
        "sql 'SELECT moved_at, type, amount, balance, source_block FROM read.wallet_statement LIMIT 5'",
        "serve wallet",
    ),
    LedgerName.PROVENANCE: (
        "sql \"SELECT thing, type, digest FROM read.provenance_lineage WHERE type = 'Model' LIMIT 5\"",
        "sql \"SELECT * FROM read.provenance_sources('report/00016')\"",
        "lineage report/00016",
    ),
    LedgerName.AI_AUDIT: (
        "sql 'SELECT system, outcome, count(*) FROM read.ai_audit_timeline GROUP BY 1, 2 ORDER BY 1, 2'",
        "sql 'SELECT * FROM read.ai_audit_alterations()'",
    ),
}
SEARCH = {"licence_search": "q=county:kent+AND+status:ACTIVE", "endorsement_search": "q=points:8"}
READERS = {"analysts": "analysts", "cleared": "cleared readers only"}


@dataclass(frozen=True)
class ReadModel:
    """A read model in the table at the end of the demo."""

    name: str
    purpose: str
    rows: int
    store: str
    readers: str


def demo(
    sample: Annotated[LedgerName, typer.Option(help="The sample ledger.")] = LedgerName.LICENSING,
    console: Annotated[bool, typer.Option("--console", help="Then serve the console on it, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run everything on a sample ledger, then suggest queries."""
    if console and as_json:
        raise UsageError("--console does not go with --json.")
    if console:
        with needs_extra("console"):
            import strandline.console.serving  # noqa: F401
    projections = discover_projections()
    with open_store() as (settings, url):
        folder = settings.home / (FOLDER if sample is LedgerName.LICENSING else f"{FOLDER}-{sample}")
        note(f"1. Writing a journal of {BLOCKS[sample]:,} blocks, as QLDB exports it, to {folder}")
        made = _make(settings, folder, sample)
        _check_same_strand(url, made)
        note("2. Verifying every hash, every link and the digest")
        verified = _verify(folder, made)
        note("3. Ingesting it into the journal store and projecting the read models")
        result = replay_and_project(url, _sources(folder), settings, projections)
        models = _read_models(url, projections, settings)
    done = verified and result.complete
    if as_json:
        show_json(
            {
                "directory": str(folder),
                "strand_id": made.strand_id,
                "digest": b64encode(made.digest).decode(),
                "tip": made.tip,
                "verified": verified,
                "mark": result.status.mark,
                "read_models": [asdict(model) for model in models],
            }
        )
    else:
        _say(models, folder, sample, verified, settings)
        if console:
            return _serve(projections)
        say(f"See it in a browser: {_program()} console, then open http://{ADDRESS}/")
    return 0 if done else 1


def _serve(projections: Mapping[str, "Projection"]) -> int:
    from strandline.console.serving import Options

    start_log()
    with open_store() as (settings, url):
        return serve_console(settings, url, projections, Options(ADDRESS))


def _make(settings: "Settings", folder: Path, ledger: LedgerName) -> "Simulated":
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    return write_journal(folder, BLOCKS[ledger], SEED, Format.ION_TEXT, ledger=ledger)


def _check_same_strand(url: str, made: "Simulated") -> None:
    from strandline.consumer.database.connection import connect
    from strandline.consumer.mark.mark import read_mark

    with connect(url) as connection:
        strand_id = read_mark(connection).strand_id
    if strand_id not in (None, made.strand_id):
        raise StrandlineError(
            f"The database already holds another journal, strand {strand_id}; the demo does not touch it.\n"
            "Run the demo in a folder of its own: set STRANDLINE_HOME to a new one and unset STRANDLINE_DATABASE_URL."
        )


def _verify(folder: Path, made: "Simulated") -> bool:
    found = check_sources([str(folder / "full")], made.tip)
    return found.ok and found.digest == made.digest


def _sources(folder: Path) -> Sequence["Source"]:
    from strandline.journal.sources.source import local_sources

    return local_sources(str(folder / "full"))


def _read_models(url: str, projections: Mapping[str, "Projection"], settings: "Settings") -> list[ReadModel]:
    from strandline.consumer.database.connection import connect
    from strandline.consumer.generations.stores import open_stores
    from strandline.consumer.monitoring.status import read_status

    stores = open_stores(settings, url)
    models = []
    with connect(url) as connection:
        for served in read_status(connection, projections.values(), stores).projections:
            if served.generation is None or served.state in ("off", "failing"):
                continue
            projection = projections[served.name]
            rows = stores.count(connection, projection)
            readers = READERS[projection.readers]
            models.append(ReadModel(served.name, projection.purpose, rows, served.store, readers))
    return models


def _say(models: Sequence[ReadModel], folder: Path, ledger: LedgerName, verified: bool, settings: "Settings") -> None:
    say("Read models (in PostgreSQL, schema read; in OpenSearch, aliases):")
    show_table(
        ("read model", "purpose", "rows", "store", "readers"),
        [(model.name, model.purpose, model.rows, model.store, model.readers) for model in models],
    )
    say(VERIFIED if verified else "NOT VERIFIED: the journal or its digest does not match.")
    say("Try:")
    program = _program()
    for words in (
        *TRY[ledger],
        "status",
        "verify",
        f"verify {quote(str(folder / 'full'))} --digest {quote(str(folder / 'full.digest.json'))}",
        "digest",
    ):
        say(f"  {program} {words}")
    for model in models:
        if model.store == "opensearch":
            alias = f"{settings.opensearch_prefix}{model.name}"
            say(f"  curl -s '{settings.shown_opensearch_url}/{alias}/_search?{SEARCH.get(model.name, 'size=3')}'")
            say(f"  {program} rebuild {model.name}")


def _program() -> str:
    """Return this command as it was called, so that the suggestions can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m strandline.cli"
    on_path = shutil.which("strandline")
    if on_path is not None and called.exists() and Path(on_path).samefile(called):
        return "strandline"
    return os.path.relpath(called)
