"""The outcome of one check."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal

import psycopg

from strandline.consumer.database.errors import describe_error
from strandline.journal.errors import StrandlineError

# ok, and note for a fact; warning: works, but not well, or could not be checked; fault: something will break.
Level = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One checked thing: what it is, how it is, and what to do. No payload, no secret."""

    area: str
    check: str
    level: Level
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass
class Findings:
    """The findings of one area, in the order of the checks."""

    area: str
    found: list[Finding] = field(default_factory=list)

    def ok(self, check: str, text: str) -> None:
        self._add(check, "ok", text)

    def note(self, check: str, text: str, advice: str = "") -> None:
        self._add(check, "note", text, advice)

    def warn(self, check: str, text: str, advice: str) -> None:
        self._add(check, "warning", text, advice)

    def fault(self, check: str, text: str, advice: str = "") -> None:
        self._add(check, "fault", text, advice)

    @contextmanager
    def guarded(self, check: str, level: Level = "fault", advice: str = "") -> Iterator[None]:
        """Turn an error inside into a finding: its first line says what, the rest (or `advice`) what to do.

        What the login may not see is neither fine nor a fault.
        """
        try:
            yield
        except psycopg.errors.InsufficientPrivilege:
            self._add(check, "note", "not visible to this login", "run it with an operator's login, or the owner's")
        except (StrandlineError, psycopg.Error) as error:
            described = describe_error(error) if isinstance(error, psycopg.Error) else error
            text, _, rest = str(described).partition("\n")
            self._add(check, level, text, rest or advice)

    def _add(self, check: str, level: Level, text: str, advice: str = "") -> None:
        self.found.append(Finding(self.area, check, level, text, advice))


def breaks(found: Iterable[Finding]) -> bool:
    """Return True if one of the findings is a fault."""
    return any(one.level == "fault" for one in found)
