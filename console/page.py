"""A request as a page sees it, and what a page answers."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from strandline.console.console import Console
from strandline.console.reader import Reader, Right


@dataclass(frozen=True)
class Asked:
    """A request: who asks, the parts of the path, the query and the form. `upload` is the content of a file.

    `fragment`: a page that is open asks for a part of itself again.
    """

    console: Console
    reader: Reader
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    upload: bytes | None = None
    as_json: bool = False
    fragment: bool = False

    def may(self, right: Right) -> bool:
        """Return whether the reader has the right and the console can serve it."""
        console = self.console
        if right == "operator" and console.read_only:
            return False
        if (right == "analyst" and console.analyst is None) or (right == "cleared" and console.cleared is None):
            return False
        return self.reader.may(right)

    def require(self, right: Right) -> None:
        """Raises `Refused` without the right."""
        if not self.may(right):
            raise Refused(why_not(self, right))


def why_not(asked: Asked, right: Right) -> str:
    """Return why the reader may not do what needs the right, and what would turn it on."""
    console = asked.console
    if right == "operator" and console.read_only:
        return "The console was started with --read-only: it changes nothing."
    if right == "cleared" and console.cleared is None:
        return "Payload is off: STRANDLINE_CONSOLE_CLEARED_URL turns it on, a login of role strandline_cleared alone."
    if right == "analyst" and console.analyst is None:
        return "Off: STRANDLINE_CONSOLE_ANALYST_URL turns it on, a login of role strandline_analyst alone."
    return f"This needs the right {right}, which {asked.reader.name} does not have."


@dataclass(frozen=True)
class Page:
    """A page: `data` is its JSON; the template gets it as `data`, and `more` besides."""

    template: str
    data: Mapping[str, object]
    more: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Download:
    """A file to save. A large one is a generator of texts, which is closed if the client goes."""

    name: str
    content: bytes | Generator[str, Any, Any]
    media_type: str = "application/json"


@dataclass(frozen=True)
class Elsewhere:
    """An answer to a POST that leads to a page of the console; `path` is without the prefix."""

    path: str


@dataclass(frozen=True)
class Unchanged:
    """An answer to an open page: what it shows may stay."""


Answer = Page | Download | Elsewhere | Unchanged


class Refused(Exception):
    """The reader lacks a right; the message says which, and how to get it."""


class Missing(Exception):
    """The thing that was asked for is not there; the message names it."""
