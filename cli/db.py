"""The command `db stop`."""

import typer

from strandline.cli.output import say
from strandline.journal.errors import StrandlineError, UsageError

db = typer.Typer(
    help="Stop the embedded PostgreSQL.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@db.callback()
def _db() -> None:
    """Keep `stop` a command of its own: Typer would otherwise make it `db`."""


@db.command()
def stop() -> int:
    """Stop the embedded PostgreSQL now.

    It stops by itself some minutes after the last command.
    """
    from strandline.consumer.database.embedded import stop_embedded
    from strandline.consumer.settings import load_settings

    settings = load_settings()
    if settings.database_url is not None:
        raise UsageError("STRANDLINE_DATABASE_URL is set: that server is not stopped here.")
    if not stop_embedded(settings.home):
        raise StrandlineError("Another command uses the embedded PostgreSQL: end that command first.")
    say("The embedded PostgreSQL is stopped.")
    return 0
