"""The commands `prove` and `check-proof`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, plain, say, show_json
from strandline.cli.progress import labelled, meter
from strandline.cli.session import open_store
from strandline.cli.texts import DOCS
from strandline.cli.verify import EXIT_STATUS
from strandline.journal.errors import UnreadableError

if TYPE_CHECKING:
    from strandline.journal.proofs.check import CheckResult


def prove(
    document: Annotated[str, typer.Argument(help="The document's id.", metavar="DOCUMENT")],
    version: Annotated[int, typer.Argument(help="The revision's version.", metavar="VERSION", min=0)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write. Default: stdout.")] = None,
    tip: Annotated[
        int | None, typer.Option(help="The last block that the saved digest covers. Default: the mark.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a proof that leads from a revision to a digest."""
    from strandline.consumer.verification.prove import check_written
    from strandline.consumer.verification.prove import prove as make_proof
    from strandline.journal.proofs.check import WEAK

    with open_store() as (_, url), meter() as shown:
        proof = make_proof(url, document, version, tip, progress=labelled(shown, "proving"))
    bound = proof.binding is not None
    if output is None:
        sys.stdout.write(proof.to_json())
        return 0
    output.write_text(proof.to_json(), encoding="utf-8")
    check_written(output.read_bytes(), proof)
    if as_json:
        show_json(
            {
                "file": str(output),
                "document": document,
                "version": version,
                "tip": proof.tip,
                "data_verified": True,
                "bound": bound,
                "written_by": proof.written_by,
            }
        )
    else:
        say(f"Wrote {output}: version {version} of document {document}, to the digest with tip block {proof.tip}.")
        if not bound:
            note(f"Weaker: {WEAK}.")
        if proof.written_by == "strandline":
            note(f"Block {proof.sequence_no:,} was written by Strandline: no digest saved from QLDB covers it.")
        say(f"Check it: strandline check-proof {output} --digest <digest saved from QLDB>")
        say(f"Or without Strandline: python {DOCS / 'verify_proof.py'} {output} --digest <base64>")
    return 0


def check_proof(
    file: Annotated[str, typer.Argument(help="A proof made by `prove`, or saved from QLDB.", metavar="FILE")],
    digest: Annotated[
        str | None,
        typer.Option(
            help="The digest saved from QLDB: base64 or a file. Default: the one in FILE.", metavar="B64|FILE"
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check a proof against a saved digest, without a store.

    Exit status: 0 it holds, 1 it does not, 3 it cannot be checked.
    """
    from strandline.journal.proofs.check import check_json
    from strandline.journal.proofs.check import check_proof as check
    from strandline.journal.proofs.saved_digest import read_saved_digest, read_small_file

    saved = read_saved_digest(digest) if digest is not None else None
    data = read_small_file(file, "proof")
    try:
        result = check(data, saved.digest if saved else None, name=file)
    except UnreadableError as error:
        if as_json:
            show_json({"ok": False, "answer": "cannot be checked", "reasons": [str(error)]})
        else:
            say(f"The proof CANNOT BE CHECKED: {error}.")
        return EXIT_STATUS["cannot be checked"]
    if as_json:
        show_json(check_json(result))
    else:
        _report(result, given=saved is not None)
    return EXIT_STATUS[result.answer]


def _report(result: "CheckResult", *, given: bool) -> None:
    say(_verdict(result, given=given))
    for reason in result.reasons:
        note(f"Reason: {reason}.")
    if (content := result.content) is not None:
        say(f"document     {content.document_id}, version {content.version}")
        if content.table is not None:
            say(f"table        {plain(content.table)}")
        say(f"transaction  {content.tx_id} at {content.tx_time.isoformat()}")
        say(f"block        {result.sequence_no} of strand {result.strand_id}")
        say(f"state        {content.state}")
        if content.state == "normal":
            say(f"data         {content.data or 'cannot be shown as text'}")
    for text in result.notes:
        note(f"Note: {text}.")


def _verdict(result: "CheckResult", *, given: bool) -> str:
    if result.answer != "holds":
        return f"The proof {result.answer.upper()}."
    weak = "" if result.bound else ", WEAKLY (see the notes)"
    return f"The proof HOLDS{weak}, against the digest {'given' if given else 'in the file itself'}."
