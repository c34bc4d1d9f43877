"""Options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
TrustDeletions = Annotated[
    bool,
    typer.Option(
        "--trust-deletions",
        help="Accept deletions whose hash cannot be explained. Dropped data can then pass as a deletion.",
    ),
]
