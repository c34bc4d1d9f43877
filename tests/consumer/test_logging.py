"""The log's levels and styles."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from strandline.consumer.logging import pass_on, start_logging


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def test_lines_are_json_by_default() -> None:
    file = io.StringIO()
    start_logging(file=file)
    structlog.get_logger().info("batch", records=7)
    logged = json.loads(file.getvalue())
    assert logged.pop("time").endswith("Z")
    assert logged == {"event": "batch", "level": "info", "records": 7}


def test_level_leaves_out_what_is_below_it() -> None:
    file = io.StringIO()
    start_logging("error", file=file)
    structlog.get_logger().info("batch")
    structlog.get_logger().warning("gap")
    logging.getLogger("a library").warning("it says")
    structlog.get_logger().error("lost")
    assert [json.loads(line)["event"] for line in file.getvalue().splitlines()] == ["lost"]


def test_text_has_one_line_an_event_and_no_control_characters() -> None:
    file = io.StringIO()
    start_logging("info", "text", file)
    structlog.get_logger().warning("kcl", text="one\ntwo \x1b[31m", first=7)
    [line] = file.getvalue().splitlines()
    assert line.split()[1:3] == ["[warning", "]"]
    assert "kcl" in line
    assert "first=7" in line
    assert "text='one\\ntwo \\x1b[31m'" in line


def test_text_shows_no_variables_of_a_traceback() -> None:
    file = io.StringIO()
    start_logging("info", "text", file)

    def fail(payload: str) -> None:
        raise ValueError(len(payload))

    try:
        fail("Alice " + "Example")
    except ValueError:
        structlog.get_logger().error("lost", exc_info=True)
    assert "Alice Example" not in file.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
def test_event_of_another_process_is_logged_in_the_style_of_this_one(style: str) -> None:
    file = io.StringIO()
    start_logging("error", style, file)  # type: ignore[arg-type]
    line = '{"event": "batch", "level": "info", "time": "2026-01-01T00:00:00Z", "records": 7}'
    assert pass_on(line)
    assert [pass_on(other) for other in ("WARN Scheduler", '{"event": "ba', "7", "[]")] == [False] * 4
    [logged] = file.getvalue().splitlines()
    if style == "json":
        assert json.loads(logged) == json.loads(line)
    else:
        assert logged.startswith("2026-01-01T00:00:00Z [info")
        assert logged.rstrip().endswith("records=7")
