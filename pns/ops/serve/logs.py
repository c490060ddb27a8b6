"""The log of `pns serve`: one line an event, to people as text, to machines as JSON.

Owns the root logger of the process. An embedded PNS never configures the log. No field can break its line:
line ends, control and format characters are escaped. Other libraries are heard from WARNING on: below this
level they log requests, headers, and SQL with values.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import BufferingHandler
from typing import TextIO

from pns.runtime.one_line import printable
from pns.settings import LogSettings

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_MOST_HELD = 10_000
_MEMBERS = frozenset({"time", "level", "logger", "message", "error", "stack"})


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send everything that this process logs to `stream` (standard error), in the one format.

    A second call replaces the settings of the first call. After this call a server must not configure
    logging: uvicorn takes `log_config=None, log_level=None, access_log=False`.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JSONFormatter() if settings.format == "json" else TextFormatter())
    handler.addFilter(_is_wanted)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.captureWarnings(True)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(level, logging.WARNING))
    logging.getLogger("pns").setLevel(level)
    _adopt_uvicorn(max(level, logging.INFO))


def _adopt_uvicorn(level: int) -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("uvicorn").setLevel(level)
    # Without a handler in reach, uvicorn does not even make its access lines.
    logging.getLogger("uvicorn.access").propagate = False


def _is_wanted(record: logging.LogRecord) -> bool:
    """False for the server's lines for each WebSocket: an access log, which shows query strings."""
    of_a_connection = str(record.msg).startswith(('%s - "WebSocket %s"', "connection "))
    return not (record.name == "uvicorn.error" and record.levelno < logging.WARNING and of_a_connection)


@contextmanager
def held() -> Iterator[list[logging.LogRecord]]:
    """The records logged inside, kept back: no format is known before the settings are."""
    before, holder = logging.root.handlers[:], BufferingHandler(_MOST_HELD)
    logging.root.handlers[:] = [holder]
    try:
        yield holder.buffer
    finally:
        logging.root.handlers[:] = before


class TextFormatter(logging.Formatter):
    """`2026-11-21T19:31:00.123Z INFO pns.node: message key=value error="Traceback …"`."""

    def format(self, record: logging.LogRecord) -> str:
        head = (
            f"{_time(record)} {record.levelname} {printable(record.name)}: {printable(record.getMessage())}"
        )
        fields = [*_extra(record), *_tracebacks(self, record)]
        return " ".join([head, *(f"{printable(name)}={_quoted(str(value))}" for name, value in fields)])


class JSONFormatter(logging.Formatter):
    """One JSON object a line, ASCII: `time`, `level`, `logger`, `message`, the extra fields, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        # A field that is named like one of ours must not stand in its place.
        line |= {f"{name}_" if name in _MEMBERS else name: _plain(value) for name, value in _extra(record)}
        line |= dict(_tracebacks(self, record))
        return json.dumps(line)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    return ((name, value) for name, value in vars(record).items() if name not in _STANDARD)


def _tracebacks(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    if record.exc_info and record.exc_info[0] is not None:
        yield "error", formatter.formatException(record.exc_info)
    elif record.exc_text:
        yield "error", record.exc_text
    if record.stack_info:
        yield "stack", record.stack_info


def _plain(value: object) -> object:
    """`value` where JSON has a word for it, else its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _quoted(text: str) -> str:
    if text and text.isprintable() and not any(c in text for c in ' "=\\'):
        return text
    # The text's own backslashes first, so that what printable adds stays readable.
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
