"""Answers of queries on an open page: they go when something was redacted since, as everything revealed does."""

from strandline.console.page import Asked, Missing, Page, Unchanged

COUNT = "SELECT count(*) FROM journal.redaction"


def redactions_so_far(asked: Asked) -> int:
    """Return the number of redactions in the register. Take it before the query runs."""
    with asked.console.status() as connection, connection.transaction():
        row = connection.execute(COUNT).fetchone()
    assert row is not None
    return int(row[0])


def still(asked: Asked) -> Page | Unchanged:
    """Tell an open page whether its answer may stay, made when there were so many redactions."""
    text = asked.query.get("redactions", "")
    if not text.isdecimal():
        raise Missing("There is nothing to tell.")
    if int(text[:18]) == redactions_so_far(asked):
        return Unchanged()
    return Page("answer_gone.html", {"gone": True})
