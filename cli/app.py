"""The command line's entry: runs a command and turns its errors into a line or two on stderr and an exit status."""

import errno
import os
import sqlite3
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from strandline.cli import (
    accept_gap,
    accept_omission,
    console,
    db,
    dbt_sources,
    demo,
    digest,
    doctor,
    export_model,
    exports,
    find_subject,
    init_projection,
    ledger,
    lineage,
    migrate,
    parked,
    partiql,
    preview,
    project,
    prove,
    prove_rows,
    rebuild,
    receipts,
    redact,
    redactions,
    reject,
    rejected,
    replay,
    restore,
    scrub,
    serve,
    shell,
    simulate,
    sql,
    status,
    url,
    verify,
    worker,
)
from strandline.cli.interrupts import INTERRUPTED, handled_signals, interrupted_text
from strandline.cli.options import with_ledger
from strandline.cli.output import complain
from strandline.cli.texts import DOCS
from strandline.journal.errors import StrandlineError, UsageError

NAME = "strandline"
SUCCESS, FAILURE, USAGE = 0, 1, 2

app = typer.Typer(
    name=NAME,
    help="Ingests a QLDB journal, verifies every hash, and keeps erasable, rebuildable read models.",
    epilog="Exit status: 0: success. 1: verification failed, or something was rejected or is still pending. "
    f"2: usage or configuration error. 3: it cannot be checked.\n\n\b\nDocumentation: {DOCS}",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo.demo,
    replay.replay,
    verify.verify,
    digest.digest,
    prove.prove,
    prove.check_proof,
    prove_rows.prove_rows,
    status.status,
    doctor.doctor,
    project.project,
    parked.parked,
    parked.retry,
    preview.preview,
    rebuild.rebuild,
    rebuild.rollback,
    rejected.rejected,
    reject.reject,
    accept_gap.accept_gap,
    accept_omission.accept_omission,
    receipts.receipts,
    scrub.scrub,
    restore.restore,
    find_subject.find_subject,
    sql.sql,
    url.url,
    export_model.export_model,
    exports.exports,
    dbt_sources.dbt_sources,
    migrate.migrate,
    simulate.simulate,
    redact.redact,
    partiql.partiql,
    shell.shell,
    serve.serve,
    console.console,
    lineage.lineage,
    init_projection.init_projection,
    worker.worker,
):
    app.command()(command)
app.add_typer(ledger.app)
app.add_typer(redactions.redactions, name="redactions")
app.add_typer(db.db, name="db")
for one in (app, *(group.typer_instance for group in app.registered_groups)):
    for registered in one.registered_commands if one is not None else ():
        assert registered.callback is not None
        registered.callback = with_ledger(registered.callback)


@app.callback(invoke_without_command=True)
def _strandline(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and the kernel, and exit.")] = False,
) -> None:
    if show_version:
        from importlib.metadata import version

        from strandline.journal.decode.kernel import KERNEL

        typer.echo(f"{NAME} {version(NAME)} ({KERNEL} kernel)")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name. Prints its errors; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with handled_signals():
        return _flushed(_invoke(arguments))


def _flushed(status: int) -> int:
    """Flush stdout, then return the status: the reader may have left, or the disk may be full."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        # Python must not write the rest of the buffer again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reported = isinstance(exc, BrokenPipeError) or status != SUCCESS
        return FAILURE if reported else complain(_system_text(exc), FAILURE)
    return status


def _invoke(arguments: Sequence[str]) -> int:
    def fail(text: str, status: int) -> int:
        return complain(text, status, as_json="--json" in arguments)

    command = typer.main.get_command(app)
    try:
        result: Any = command.main(args=list(arguments), prog_name=NAME, standalone_mode=False)
    except UsageError as exc:
        return fail(str(exc), USAGE)
    except StrandlineError as exc:
        return fail(str(exc), FAILURE)
    except typer.TyperException as exc:
        return fail(_usage_text(exc), exc.exit_code)
    except BrokenPipeError:
        return FAILURE
    except OSError as exc:
        return fail(_system_text(exc), FAILURE)
    except sqlite3.OperationalError as exc:
        return fail(f"A temporary file cannot be used ({exc}): make room, or set TMPDIR.", FAILURE)
    except Exception as exc:
        if (text := _database_text(exc)) is None:
            raise
        return fail(text, FAILURE)
    if result == INTERRUPTED:  # typer turns KeyboardInterrupt into this
        return fail(interrupted_text(next((one for one in arguments if not one.startswith("-")), None)), INTERRUPTED)
    return result if isinstance(result, int) else SUCCESS


def _usage_text(exc: typer.TyperException) -> str:
    context = getattr(exc, "ctx", None)
    path = context.command_path if context is not None else NAME
    return f"{exc.format_message()}\nTry `{path} --help`."


def _system_text(exc: OSError) -> str:
    reason = exc.strerror or type(exc).__name__
    where = f"{exc.filename}: " if exc.filename else ""
    hint = "; make room, then run the command again" if exc.errno == errno.ENOSPC else ""
    return f"{where}{reason}{hint}."


def _database_text(exc: Exception) -> str | None:
    """Describe a PostgreSQL error; None for any other. psycopg is slow to import, and may not have been needed."""
    if "psycopg" not in sys.modules:
        return None
    import psycopg

    from strandline.consumer.database.errors import describe_error

    return str(describe_error(exc)) if isinstance(exc, psycopg.Error) else None
