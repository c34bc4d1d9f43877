"""The command `find-subject`."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from strandline.cli.options import AsJson
from strandline.cli.output import say, show_json, show_table
from strandline.cli.session import discover_projections, open_store


def find_subject(
    field: Annotated[str, typer.Argument(help="A declared field, such as email or Contact.email.", metavar="FIELD")],
    value: Annotated[str, typer.Argument(help="Its value; - reads it from standard input.", metavar="VALUE")],
    as_json: AsJson = False,
) -> int:
    """Find a person's documents, versions and rows.

    Also finds statements that have the value in their text. Pass the value on standard input (`-`) to keep it out of
    the shell's history.
    """
    from strandline.consumer.database.connection import AUDITOR, connect
    from strandline.consumer.erasure.quotations import find_quotations
    from strandline.consumer.erasure.subjects import find_subject, identifier_fields

    projections = discover_projections()
    if value == "-":
        value = sys.stdin.readline().removesuffix("\n")
    with open_store() as (settings, url), connect(url, role=AUDITOR) as connection:
        fields = identifier_fields(projections.values(), settings.subject_fields)
        versions = find_subject(connection, fields, field, value)
        quotations = find_quotations(connection, value)
    if as_json:
        statements = [asdict(one) for one in quotations]
        show_json({"field": field, "versions": [asdict(one) for one in versions], "statements": statements})
        return 0
    if not versions:
        say(f"No revision with data has that value in {field}.")
    else:
        show_table(
            ("table", "document", "version", "state", "value", "read models"),
            [
                (
                    one.table,
                    one.document_id,
                    str(one.version),
                    one.state,
                    "yes" if one.matches else "",
                    ", ".join(one.read_models),
                )
                for one in versions
            ],
        )
        say("Blocks and times: --json. To erase a version: `strandline redact DOCUMENT VERSION`.")
    if quotations:
        say("")
        show_table(
            ("block", "statement", "kind", "documents of its transaction"),
            [(str(one.sequence_no), str(one.statement), one.kind, ", ".join(one.documents)) for one in quotations],
        )
        say("These texts hold the value. A redaction of a document's revision in that block erases it;")
        say("without documents nothing does.")
    return 0
