"""The pages of the documentation, and the blocks of commands in them.

A fenced block's first line says what it is: `sh` is run; `sh server` is started and serves until the page's end;
`sh opensearch` needs a node; `python` is run as a program; `python FILE` is written to that file. The comment
`<!-- not tested: KEY -->` before a block says that no test runs it; `test_commands.py` has the reason.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:^ *<!-- not tested: (?P<key>[a-z-]+) -->\n)?^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, and the key of the reason why it is not tested."""

    info: tuple[str, ...]
    text: str
    not_tested: str | None


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks, in order."""
    return [
        Block(tuple(found["info"].split()), dedent(found["text"]), found["key"])
        for found in _BLOCK.finditer(page.read_text())
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def commands(page: Path) -> list[str]:
    """Every `strandline …` of the page, in blocks of commands and in code spans, one a string."""
    texts = [text for text in _SPAN.findall(prose(page)) if text.startswith("strandline ")]
    for block in blocks(page):
        if block.info[:1] == ("sh",):
            texts += re.findall(r"(?:^|[|(] ?|\.venv/bin/)(strandline [^|)\n]*)", block.text, re.MULTILINE)
    return texts
