"""Where the log goes: stderr, one event a line; stdout is for results."""

from __future__ import annotations

import logging
import sys
import time

import structlog


def log_to_stderr(level: int = logging.WARNING) -> None:
    """One-shot commands show only what is wrong; the parts of a running hub say what they do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_in_utc())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: structlog.PrintLogger(sys.stderr),  # stderr as it is when something is logged
        cache_logger_on_first_use=False,
    )


def _in_utc() -> logging.Formatter:
    """What libraries log, on the same clock as the hub's own events, one line each."""
    formatter = _OneLine("%(asctime)sZ %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


class _OneLine(logging.Formatter):
    """A line break in what somebody sent does not begin a new line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")
