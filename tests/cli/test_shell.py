"""The shell: statements and transactions as they are typed, and what completes them."""

import io

import pytest

from strandline.cli.shell import candidates, fields_of
from tests.commands import Run

FIELDS = {"Person": ["name", "GovId"], "Vehicle": ["VIN"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM P", ["Person"]),
        ("SELECT * FROM _q", ["_ql_committed_Person", "_ql_committed_Vehicle"]),
        ("INSERT INTO v", ["Vehicle"]),
        ("SELECT * FROM Person AS p WHERE p.", ["name", "GovId"]),
        ("SELECT * FROM Person WHERE g", ["GovId", "GROUP"]),
        ("SELECT * FROM Vehicle WHERE na", []),
        ("sele", ["SELECT"]),
        ("start", ["start transaction"]),
        ("SELECT char_l", ["CHAR_LENGTH"]),
    ],
)
def test_candidates(text: str, expected: list[str]) -> None:
    found = candidates(text, FIELDS)
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


def test_lines_of_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    def shell(text: str) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        done = run("shell")
        return done.status, done.out.splitlines()

    status, lines = shell("CREATE TABLE Person\ntables;\n\nexit\nnonsense")
    assert (status, lines[0][:9], lines[1:]) == (0, "{tableId:", ['"Person"'])
    status, lines = shell(
        "start transaction\nINSERT INTO Person {'name': 'Ada Example'}\nSELECT p.name FROM Person AS p\nabort\n"
        "SELECT count(*) AS n FROM Person AS p\n"
    )
    assert (status, lines[1:]) == (0, ['{name:"Ada Example"}', "{n:0}"])
    status, lines = shell("begin\nINSERT INTO Person {'name': 'Ada Example'}\ncommit\nSELECT p.name FROM Person AS p\n")
    assert (status, lines[1:]) == (0, ["Committed as block 4.", '{name:"Ada Example"}'])
    assert fields_of(database) == {"Person": ["name"]}


def test_error_in_a_pipe_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("begin\nSELECT\nCREATE TABLE T\n"))
    done = run("shell")
    assert done.status == 1
    assert done.out.splitlines()[0].startswith("error: Parser Error: at line 1, column 7")
    assert "nothing of it was written" in done.out
    monkeypatch.setattr("sys.stdin", io.StringIO("commit\n"))
    assert run("shell").out == "error: No transaction is open: start one with `start transaction`.\n"
    assert run("shell", "--json").status == 2
