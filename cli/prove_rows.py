"""The command `prove-rows`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, plain, say, show_json, show_table
from strandline.cli.progress import labelled, meter
from strandline.cli.session import open_store
from strandline.cli.texts import count
from strandline.journal.errors import StrandlineError, UsageError

if TYPE_CHECKING:
    from strandline.consumer.migration_kit.comparison import Comparison

_ROWS_SHOWN = 20


def prove_rows(
    source: Annotated[str, typer.Argument(help="The database's URL, or rows as .csv or JSON lines.", metavar="SOURCE")],
    table: Annotated[str | None, typer.Option(help="The table in the database, such as dmv.person.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="The field that a column shows; @id is the document's id.", metavar="COLUMN=FIELD"),
    ] = None,
    ledger_table: Annotated[
        str | None, typer.Option(help="The ledger's table. Default: the tables that the rows name.")
    ] = None,
    proof: Annotated[int | None, typer.Option(help="Write the proof of this row, counted from 1.", min=1)] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The proof's file.")] = None,
    as_json: AsJson = False,
) -> int:
    """Compare a table of the migration kit with the journal.

    Exit status: 0 each row is as the ledger has it and none is missing, 1 otherwise.
    """
    from strandline.consumer.database.connection import connect
    from strandline.consumer.migration_kit.comparison import compare
    from strandline.consumer.migration_kit.rows import read_rows

    mapping = _mapping(columns or [])
    if (proof is None) != (output is None):
        raise UsageError("--proof ROW and --output FILE go together.")
    if proof is not None and output is not None:
        return _prove(source, table, mapping, proof, output, as_json)
    with open_store() as (_, url), meter("rows") as shown, connect(url) as connection:
        found = compare(
            connection,
            read_rows(source, table),
            mapping=mapping,
            ledger_table=ledger_table,
            progress=shown.report,
        )
    if as_json:
        show_json(_json(found))
    else:
        _say(found)
    return 0 if found.ok else 1


def _mapping(columns: list[str]) -> dict[str, str]:
    mapping = {}
    for text in columns:
        column, equals, path = text.partition("=")
        if not (column and equals and path):
            raise UsageError(f"--map takes COLUMN=FIELD, such as owner=Owners.PrimaryOwner.PersonId, not `{text}`.")
        mapping[column] = path
    return mapping


def _prove(source: str, table: str | None, mapping: dict[str, str], number: int, output: Path, as_json: bool) -> int:
    from strandline.consumer.database.connection import connect
    from strandline.consumer.migration_kit.comparison import EXPLANATIONS, GOOD, judge_one
    from strandline.consumer.migration_kit.rows import read_rows
    from strandline.consumer.verification.prove import check_written
    from strandline.consumer.verification.prove import prove as make_proof

    row = next((one for one in read_rows(source, table) if one.number == number), None)
    if row is None:
        raise UsageError(f"there is no row {number}.")
    with open_store() as (_, url):
        with connect(url) as connection:
            judged = judge_one(connection, row, mapping=mapping)
        if judged.verdict not in GOOD:
            detail = f" ({', '.join(judged.differing)})" if judged.differing else ""
            raise StrandlineError(f"row {number} is {EXPLANATIONS[judged.verdict]}{detail}: there is nothing to prove")
        with meter() as shown:
            made = make_proof(url, row.document_id, row.version, progress=labelled(shown, "proving"))
    output.write_text(made.to_json(), encoding="utf-8")
    check_written(output.read_bytes(), made)
    if as_json:
        show_json(
            {
                "file": str(output),
                "row": number,
                "document": row.document_id,
                "version": row.version,
                "verdict": judged.verdict,
                "uncompared": list(judged.uncompared),
                "tip": made.tip,
            }
        )
    else:
        say(f"Wrote {output}: the revision that row {number} shows, version {row.version} of {row.document_id}.")
        if judged.uncompared:
            note(f"Not compared with it: {', '.join(map(plain, judged.uncompared))}. Name their fields with --map.")
    return 0


def _json(found: "Comparison") -> dict[str, object]:
    return {
        "ok": found.ok,
        "rows": found.rows,
        "audit_log": found.audit_log,
        "tables": sorted(found.tables),
        "verdicts": {str(verdict): number for verdict, number in found.verdicts.items()},
        "proven": found.proven,
        "unverified": found.unverified,
        "uncompared": dict(found.uncompared),
        "others": [
            {
                "row": one.number,
                "document": one.document_id,
                "version": one.version,
                "verdict": one.verdict,
                "differing": list(one.differing),
            }
            for one in found.others
        ],
        "missing_count": found.missing_count,
        "missing": [{"document": document_id, "version": version} for document_id, version in found.missing],
    }


def _say(found: "Comparison") -> None:
    from strandline.consumer.migration_kit.comparison import EXPLANATIONS, Verdict

    kind = "revisions" if found.audit_log else "current documents"
    tables = ", ".join(map(plain, sorted(found.tables)))
    say(f"Compared {count(found.rows, 'row')} of a table of {kind} with the journal: {tables}.")
    show_table(
        ("rows", "verdict", "meaning"),
        [(found.verdicts[one], one, EXPLANATIONS[one]) for one in Verdict if found.verdicts[one]],
    )
    say(f"{count(found.proven, 'row')} proven: every column of data is what a revision holds that its hash confirms.")
    if found.unverified:
        note(f"{count(found.unverified, 'row')} rest on blocks that came only as JSON: see `strandline restore`.")
    if found.uncompared:
        shown = ", ".join(f"{plain(name)} ({number:,})" for name, number in found.uncompared.most_common())
        note(f"Columns not compared, in so many rows: {shown}. Name their fields with --map.")
    if found.others:
        shown_rows = [
            (one.number, one.document_id, one.version, one.verdict, ", ".join(map(plain, one.differing)))
            for one in found.others[:_ROWS_SHOWN]
        ]
        show_table(("row", "document", "version", "verdict", "differing"), shown_rows)
    if found.missing_count:
        what = "revision" if found.audit_log else "document"
        note(f"Missing: {count(found.missing_count, what)} of the ledger, such as")
        for document_id, version in found.missing[:_ROWS_SHOWN]:
            note(f"  {document_id}, version {version}")
    if max(len(found.others), found.missing_count) > _ROWS_SHOWN:
        note("Only the first are shown; --json lists up to 10,000 of each.")
