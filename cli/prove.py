"""`prove` and `check-proof`: any row back to a digest saved from QLDB."""

import sys
from base64 import b64encode
from pathlib import Path
from typing import Annotated

import typer

from strandline.cli.output import AsJson, note, say, show_json
from strandline.cli.progress import meter
from strandline.cli.session import open_store


def prove(
    document: Annotated[str, typer.Argument(help="The document's id.", metavar="DOCUMENT")],
    version: Annotated[int, typer.Argument(help="The revision's version.", metavar="VERSION", min=0)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write it; stdout without.")] = None,
    tip: Annotated[
        int | None, typer.Option(help="The last block that the digest covers, as saved; the mark unless given.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove a revision: what an auditor needs to recompute its hash and follow it to the digest."""
    from strandline.consumer.verification.prove import prove as make_proof

    with open_store() as (_, url), meter() as shown:
        proof = make_proof(url, document, version, tip, progress=lambda done, all_: shown.report("proving", done, all_))
    if output is None:
        sys.stdout.write(proof.to_json())
        return 0
    output.write_text(proof.to_json())
    if as_json:
        show_json({"file": str(output), "document": document, "version": version, "tip": proof.tip})
    else:
        say(f"Proof of {document} version {version}, up to the digest with tip block {proof.tip}: {output}")
        say(f"Check it with `strandline check-proof {output} --digest <the digest saved from QLDB>`,")
        say(f"or, trusting nobody, with `python docs/verify_proof.py {output} --digest <base64>`.")
    return 0


def check_proof(
    file: Annotated[str, typer.Argument(help="A proof by `prove`, or one saved from QLDB.", metavar="FILE")],
    digest: Annotated[
        str | None,
        typer.Option(help="The digest saved from QLDB: base64, or a file; the file's own without.", metavar="B64|FILE"),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check a proof against a saved digest; needs no store."""
    from strandline.journal.proofs.check import check_proof as check
    from strandline.journal.proofs.saved_digest import read_saved_digest, read_small_file

    saved = read_saved_digest(digest) if digest is not None else None
    found = check(read_small_file(file, "proof"), saved.digest if saved else None, name=file)
    if as_json:
        show_json(
            {
                "ok": found.ok,
                "document": found.document,
                "version": found.version,
                "digest": b64encode(found.digest).decode() if found.digest is not None else None,
                "reasons": list(found.reasons),
                "notes": list(found.notes),
            }
        )
    else:
        for reason in found.reasons:
            note(f"Not so: {reason}.")
        for told in found.notes:
            note(f"Note: {told}.")
        say("The proof HOLDS." if found.ok else "The proof DOES NOT HOLD.")
    return 0 if found.ok else 1
