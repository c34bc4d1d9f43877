"""The command `shell`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from strandline.cli.options import AsJson
from strandline.cli.output import say
from strandline.cli.partiql import run_transaction
from strandline.cli.session import open_store
from strandline.consumer.extras import needs_extra
from strandline.journal.errors import StrandlineError, UsageError

if TYPE_CHECKING:
    from strandline.ledger import Ledger
    from strandline.ledger.open_transaction import OpenTransaction

HELP = "A statement of PartiQL; start transaction, commit, abort; tables; help; exit."
WORDS = ("start transaction", "commit", "abort", "tables", "help", "exit")
FIELDS = """
    SELECT DISTINCT t.name, f.path[1] FROM ledger.user_tables t LEFT JOIN ledger.user_table_fields f USING (table_id)
    WHERE t.status = 'ACTIVE' AND t.name <> %s ORDER BY 1, 2"""
TABLES = "SELECT VALUE name FROM information_schema.user_tables WHERE status = 'ACTIVE'"


def shell(as_json: AsJson = False) -> int:
    """Run PartiQL as it is typed, with completion."""
    if as_json:
        raise UsageError("--json does not go with a shell: use `strandline partiql --json`.")
    interactive = sys.stdin.isatty()
    if interactive:
        with needs_extra("shell"):
            import prompt_toolkit  # noqa: F401
    from strandline.ledger import Ledger

    with open_store() as (settings, url), Ledger(url) as ledger:
        session = Session(ledger)
        lines = _typed(f"{settings.ledger or 'strandline'}> ", url) if interactive else iter(sys.stdin)
        try:
            for line in lines:
                if not session.run(line.strip().removesuffix(";").strip()):
                    break
                if session.failed and not interactive:
                    break
        finally:
            session.end()
    return 1 if session.failed and not interactive else 0


class Session:
    """The statements of a shell: each runs as a transaction of its own, or within one that was started."""

    def __init__(self, ledger: "Ledger", show: Callable[[str], None] = say) -> None:
        self.failed = False
        self._ledger = ledger
        self._show = show
        self._open: OpenTransaction | None = None

    def run(self, line: str) -> bool:
        """Run a line and show its rows, or its error; returns False for the line that ends the shell."""
        word = " ".join(line.lower().split())
        if word in ("exit", "quit"):
            return False
        self.failed = False
        try:
            self._run(line, word)
        except StrandlineError as error:
            self.failed = True
            self._show(f"error: {error}")
            if self._open is not None:
                self._show("The transaction has ended: nothing of it was written.")
                self.end()
        return True

    def end(self) -> None:
        """Abort the open transaction, if there is one."""
        if self._open is not None:
            self._open.abort()
            self._open = None

    def _run(self, line: str, word: str) -> None:
        if word == "help":
            self._show(HELP)
        elif word in ("start transaction", "begin"):
            if self._open is not None:
                raise UsageError("A transaction is open: commit or abort it first.")
            self._open = self._ledger.begin()
        elif word in ("commit", "abort"):
            self._finish(commit=word == "commit")
        elif word:
            self._statement(TABLES if word == "tables" else line)

    def _finish(self, *, commit: bool) -> None:
        transaction, self._open = self._open, None
        if transaction is None:
            raise UsageError("No transaction is open: start one with `start transaction`.")
        if not commit:
            transaction.abort()
            return
        with transaction:
            number = transaction.commit()
        self._show("Committed." if number is None else f"Committed as block {number:,}.")

    def _statement(self, text: str) -> None:
        from strandline.journal.ion.values import write_text

        if self._open is not None:
            rows = list(self._open.execute(text))
        else:
            ((rows,), _, _) = run_transaction(self._ledger, [text])
        for row in rows:
            self._show(write_text(row))


def _typed(prompt: str, url: str) -> Iterator[str]:
    """Yield what is typed. Statements stay in memory: they may hold personal data."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import InMemoryHistory

    asked: PromptSession[str] = PromptSession(
        prompt, history=InMemoryHistory(), completer=_completer(url), complete_while_typing=False
    )
    say(HELP)
    while True:
        with suppress(KeyboardInterrupt):
            try:
                yield asked.prompt()
            except EOFError:
                return


def _completer(url: str) -> Any:
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document

    class Words(Completer):
        def get_completions(self, document: Document, _: Any) -> Iterator[Completion]:
            for word in candidates(document.text_before_cursor, fields_of(url)):
                yield Completion(word, -len(_begun(document.text_before_cursor)))

    return Words()


def fields_of(url: str) -> dict[str, list[str]]:
    """Return the top-level fields of each table."""
    from strandline.consumer.database.connection import connect
    from strandline.consumer.store.graft import TABLE as GRAFT

    fields: dict[str, list[str]] = {}
    with connect(url) as connection:
        for table, field in connection.execute(FIELDS, [GRAFT]):
            fields.setdefault(table, []).extend([] if field is None else [field])
    return fields


def candidates(text: str, fields: dict[str, list[str]]) -> list[str]:
    """Return the words that may complete the text's last one: tables after FROM and the like, otherwise fields of the
    tables that the text names, then keywords and functions."""
    from strandline.ledger.partiql.functions import FUNCTIONS
    from strandline.ledger.partiql.lexer import KEYWORDS

    begun = _begun(text)
    before = text[: len(text) - len(begun)]
    words = before.upper().split()
    tables = [*fields, *(f"_ql_committed_{one}" for one in fields), "information_schema.user_tables"]
    if words and words[-1] in ("FROM", "INTO", "UPDATE", "JOIN", "ON", "TABLE") and not before.endswith("."):
        found = tables
    else:
        named = [one for table, names in fields.items() if table in before for one in names]
        others = [*sorted(KEYWORDS), *sorted(FUNCTIONS), *tables] if not before.endswith(".") else []
        found = [*dict.fromkeys(named), *others, *(WORDS if not before.strip() else ())]
    return [one for one in found if one.lower().startswith(begun.lower())]


def _begun(text: str) -> str:
    """Return the word that the text ends with."""
    end = len(text)
    while end and (text[end - 1].isalnum() or text[end - 1] in "_$"):
        end -= 1
    return text[end:]
