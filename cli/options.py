"""Options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else there.")]
TrustDeletions = Annotated[
    bool,
    typer.Option(
        "--trust-deletions", help="Let deletions pass whose hash does not hold: dropped data could then pass for one."
    ),
]
