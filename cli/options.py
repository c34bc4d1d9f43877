"""Options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
OnCluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Let the workers of this Dask scheduler do it: docs/scale.md.", metavar="ADDRESS"),
]
TrustDeletions = Annotated[
    bool,
    typer.Option(
        "--trust-deletions",
        help="Accept deletions whose hash cannot be explained. Dropped data can then pass as a deletion.",
    ),
]
