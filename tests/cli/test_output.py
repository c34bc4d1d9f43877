"""Tables and escapes, on a terminal and in a pipe."""

import io
import json
import re

import pytest

from strandline.cli import output

NAMES = ("read model", "state", "purpose")
ROWS = [
    ("licence_register", "live", "Licences, their status and county, for statistics and public enquiries."),
    ("b", None, ""),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    output.show_table(NAMES, ROWS)
    return re.sub(r"\x1b\[\d*m", "", terminal.getvalue())


def test_table_in_a_pipe_has_tabs_and_no_padding(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("name", "rows"), [("a\tb", 1234), (None, True)])
    assert capsys.readouterr().out == "name\trows\na\\tb\t1234\n\tTrue\n"


def test_table_on_a_terminal_wraps_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal(monkeypatch, 60).splitlines()
    assert max(map(len, lines)) <= 60
    assert {word for line in lines for word in line.split()} >= {"licence_register", "statistics", "enquiries."}


def test_table_too_wide_for_its_words_is_a_block_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal(monkeypatch, 30).splitlines()
    assert lines[:2] == ["read model: licence_register", "state: live"]
    assert max(map(len, lines)) <= 30


def test_control_characters_are_escaped_in_all_output(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[2J\x9b31m\u202ename\r"
    output.say(f"two\nlines {name}")
    output.note(name)
    output.show_table((name,), [(f"{name}\n",)])
    output.complain(name, 1)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "two",
        r"lines \x1b[2J\x9b31m\u202ename\r",
        r"\x1b[2J\x9b31m\u202ename\r",
        r"\x1b[2J\x9b31m\u202ename\r\n",
    ]
    assert not {"\x1b", "\x9b", "\u202e", "\r"} & {*out, *err}


def test_control_characters_are_escaped_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json({"name": "\x9b\u202eZoë"})
    out = capsys.readouterr().out
    assert '"\\u009b\\u202eZoë"' in out
    assert json.loads(out) == {"name": "\x9b\u202eZoë"}
