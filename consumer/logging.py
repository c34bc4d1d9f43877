"""Logs for machines: one JSON object a line on standard error, ids and numbers only, never a value of the payload."""

import sys
from typing import TextIO

import structlog


def log_json(file: TextIO | None = None) -> None:
    """Set structlog up for this process; `file` in the place of standard error."""
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
