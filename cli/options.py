"""Options that several commands have."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

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
LedgerName = Annotated[
    str | None,
    typer.Option("--ledger", help="The ledger, if the server has several. Default: STRANDLINE_LEDGER.", metavar="NAME"),
]
_SETTING = "STRANDLINE_LEDGER"


def with_ledger(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with the option --ledger besides its own.

    It takes effect as the setting, so that the processes which the command starts have it too.
    """

    @wraps(command)
    def run(*arguments: Any, ledger: str | None = None, **options: Any) -> Any:
        before = os.environ.get(_SETTING)
        if ledger is not None:
            os.environ[_SETTING] = ledger
        try:
            return command(*arguments, **options)
        finally:
            if before is not None:
                os.environ[_SETTING] = before
            elif ledger is not None:
                del os.environ[_SETTING]

    own = inspect.signature(command)
    added = inspect.Parameter("ledger", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LedgerName)
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "ledger": LedgerName}
    return run
