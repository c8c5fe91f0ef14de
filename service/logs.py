"""How the service logs: text for people or one JSON object a line, with what is known of a request beside it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.config import dictConfig

from service.settings import Settings

ABOUT = ("request_id", "method", "route", "status", "seconds", "principal")
"""What a record may carry as `extra`."""


def configure_logs(settings: Settings) -> None:
    """Send every record to standard error, in place of whatever handlers uvicorn brought; nothing is logged twice."""
    form = JsonLines if settings.log_format == "json" else TextLines
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"ours": {"()": form}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {
                "service": {"level": "INFO"},
                "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
                "uvicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
                "uvicorn.access": {"handlers": [], "propagate": False},  # the door logs requests, with their ids
                "urllib3": {"level": "ERROR"},  # its retries; what fails for good is said once, by us
            },
        }
    )


class TextLines(logging.Formatter):
    """`2026-03-01T02:00:00.123Z INFO service.models: message`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, and a traceback below it."""
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, logger, message; what is known of the request; a traceback as one text."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        found = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name in ABOUT if (value := getattr(record, name, None)) is not None},
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
