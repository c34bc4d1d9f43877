"""Logs: one event per line on standard error, JSON or text; ids and numbers only, never payload."""

import json
import logging
import sys
from typing import Any, Literal, TextIO

import structlog

Level = Literal["info", "warning", "error"]
Style = Literal["json", "text"]


def start_logging(level: Level = "info", style: Style = "json", file: TextIO | None = None) -> None:
    """Set up structlog, and the logging of libraries, for this process. `file` replaces standard error."""
    out = file or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _renderer(style, out),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


def pass_on(line: str) -> bool:
    """Log a line that another process has logged as JSON, in the style of this one. Returns whether it was JSON."""
    event = _object(line)
    if event is None:
        return False
    write_event(event)
    return True


def write_event(event: dict[str, Any]) -> None:
    """Write an event as it is, at any level."""
    logger = structlog.get_config()["logger_factory"]()
    logger.msg(structlog.get_config()["processors"][-1](logger, "msg", event))


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _renderer(style: Style, out: TextIO) -> structlog.typing.Processor:
    if style == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(),
        timestamp_key="time",
        pad_event_to=0,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,  # others show the values of variables
    )


class _LibraryHandler(logging.Handler):
    """Logs a library's warnings and errors without their arguments, which may hold payload."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(record.levelno, "library", name=record.name, text=str(record.msg), error=error)
