"""Logs for machines: one JSON object per line on standard error; ids and numbers only, never payload."""

import logging
import sys
from typing import TextIO

import structlog


def log_json(file: TextIO | None = None) -> None:
    """Set up structlog, and the logging of libraries, for this process. `file` replaces standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.WriteLoggerFactory(file or sys.stderr),
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


class _LibraryHandler(logging.Handler):
    """Logs a library's warnings and errors without their arguments, which may hold payload."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        structlog.get_logger().log(record.levelno, "library", name=record.name, text=str(record.msg), error=error)
