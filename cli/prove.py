"""The commands `prove` and `check-proof`."""

import sys
from base64 import b64encode
from pathlib import Path
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import note, say, show_json
from strandline.cli.progress import labelled, meter
from strandline.cli.session import open_store


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
    from strandline.consumer.verification.prove import prove as make_proof

    with open_store() as (_, url), meter() as shown:
        proof = make_proof(url, document, version, tip, progress=labelled(shown, "proving"))
    if output is None:
        sys.stdout.write(proof.to_json())
        return 0
    output.write_text(proof.to_json())
    if as_json:
        show_json({"file": str(output), "document": document, "version": version, "tip": proof.tip})
    else:
        say(f"Wrote {output}: version {version} of document {document}, to the digest with tip block {proof.tip}.")
        say(f"Check it: strandline check-proof {output} --digest <digest saved from QLDB>")
        say(f"Or without Strandline: python docs/verify_proof.py {output} --digest <base64>")
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
    """Check a proof against a saved digest, without a store."""
    from strandline.journal.proofs.check import check_proof as check
    from strandline.journal.proofs.saved_digest import read_saved_digest, read_small_file

    saved = read_saved_digest(digest) if digest is not None else None
    result = check(read_small_file(file, "proof"), saved.digest if saved else None, name=file)
    if as_json:
        show_json(
            {
                "ok": result.ok,
                "document": result.document,
                "version": result.version,
                "digest": b64encode(result.digest).decode() if result.digest is not None else None,
                "reasons": list(result.reasons),
                "notes": list(result.notes),
            }
        )
    else:
        for reason in result.reasons:
            note(f"Failed: {reason}.")
        for text in result.notes:
            note(f"Note: {text}.")
        say("The proof HOLDS." if result.ok else "The proof DOES NOT HOLD.")
    return 0 if result.ok else 1
