"""Log lines on standard error: coloured on a terminal, logfmt elsewhere."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

from plateid.errors import printable


def configure_logs(level: int = logging.INFO) -> None:
    """Configures structlog for the process; lines below the level are left out."""
    renderer: Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _escape_values,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _escape_values(_logger: object, _level: str, entry: EventDict) -> EventDict:
    """Escapes control characters, so that no value looks like another line of the log."""
    return {
        key: printable(value) if isinstance(value, str) else value for key, value in entry.items()
    }
