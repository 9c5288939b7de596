"""Log lines: one configuration for all processes, and fields of the current request."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, TextIO

from pydantic import Field
from pydantic_settings import BaseSettings
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"
JSON_NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}
NOT_EXTRA = frozenset({*RESERVED_ATTRS, "color_message"})
"""Attributes of a record that are not written as fields. uvicorn's `color_message` repeats its
message, as a template with escape codes."""

TELLING_URLS = ("httpx", "httpcore")
"""Loggers whose lines have whole URLs and headers, and with them signatures and keys."""

_log_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default={})  # noqa: B039 - read only


class LogSettings(BaseSettings):
    """Settings of the log lines, which go to standard error."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines written."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        description="json: one object a line, for machines; text: for people; auto: text on a "
        "terminal, json otherwise.",
    )


def configure_logging(settings: LogSettings) -> None:
    """Write the log lines of this process to standard error."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_log_fields)
    handler.setFormatter(TextLines() if _is_text(settings, handler.stream) else json_lines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in TELLING_URLS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_text(settings: LogSettings, stream: TextIO) -> bool:
    if settings.log_format == "auto":
        return stream.isatty()
    return settings.log_format == "text"


def json_lines() -> logging.Formatter:
    """Return a formatter that writes one JSON object per line: time, level, logger, message, and
    the fields of `extra`."""
    formatter = JsonFormatter(FIELDS, rename_fields=JSON_NAMES, reserved_attrs=sorted(NOT_EXTRA))
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    formatter.converter = time.gmtime
    return formatter


class TextLines(logging.Formatter):
    """Formatter that writes a line of text, followed by the fields of `extra` as name=value."""

    def __init__(self) -> None:
        super().__init__(FIELDS)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without a traceback."""
        fields = (f"{name}={value}" for name, value in extra_of(record).items())
        return " ".join((super().formatMessage(record), *fields))


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of `extra`."""
    return {
        name: value
        for name, value in vars(record).items()
        if name not in NOT_EXTRA and not name.startswith("_")
    }


@contextlib.contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Add fields to every line written within the block, by this task and the tasks it starts."""
    token = _log_fields.set({**_log_fields.get(), **fields})
    try:
        yield
    finally:
        _log_fields.reset(token)


def _add_log_fields(record: logging.LogRecord) -> bool:
    for name, value in _log_fields.get().items():
        record.__dict__.setdefault(name, value)
    return True
