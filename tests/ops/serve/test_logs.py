"""The log: one line an event whatever it holds, every field, and no chatter of other libraries."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.ops.serve.logs import JSONFormatter, TextFormatter, configure
from pns.settings import AppSettings, LogSettings, SessionSettings, Settings

MOMENT = 1_795_289_460.123456
"""2026-11-21T19:31:00.123456Z"""

NASTY = 'a\r\nb\x1b[31m\u2028\u2029\u0085\x00\x7f\u202e\ud800\v\f\x1c\x85 \\n "q" x=1'

UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access")


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Everything as it was, after each test: logging belongs to the process."""
    root = logging.root
    loggers = [logging.getLogger(name) for name in ("pns", *UVICORN)]
    before = [(logger, logger.level, logger.propagate, logger.handlers[:]) for logger in (root, *loggers)]
    yield
    logging.captureWarnings(False)
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


def record(message: str = "went", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pns.node", logging.INFO, __file__, 1, message, args, None)
    made.created = MOMENT
    vars(made).update(extra)
    return made


def text(message: str = "went", *args: object, **extra: object) -> str:
    return TextFormatter().format(record(message, *args, **extra))


def members(message: str = "went", *args: object, **extra: object) -> dict[str, object]:
    line = JSONFormatter().format(record(message, *args, **extra))
    assert line.isascii()
    assert line.isprintable()
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def failed(error: Exception) -> logging.LogRecord:
    try:
        raise error
    except Exception as caught:
        made = record("failed")
        made.exc_info = (type(caught), caught, caught.__traceback__)
        return made


# ── the formats ───────────────────────────────────────────────────────────────────────────────────────


def test_text() -> None:
    line = text("user %s has %d", "42", 3, loop="prune", users=2, share=0.5, none=None)
    head = "2026-11-21T19:31:00.123Z INFO pns.node: user 42 has 3"
    assert line == head + " loop=prune users=2 share=0.5 none=None"


def test_json() -> None:
    assert members("user %s has %d", "42", 3, loop="prune", users=2, share=0.5, none=None, ok=True) == {
        "time": "2026-11-21T19:31:00.123Z",
        "level": "info",
        "logger": "pns.node",
        "message": "user 42 has 3",
        "loop": "prune",
        "users": 2,
        "share": 0.5,
        "none": None,
        "ok": True,
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb", '"a\\nb"'),
        ("a\\nb", '"a\\\\nb"'),
        ("é", "é"),
        ("\x1b[31m", '"\\x1b[31m"'),
        ("\u2028", '"\\u2028"'),
        ("\ud800", '"\\ud800"'),
        (("a", 1), "\"('a', 1)\""),
    ],
)
def test_values_that_could_be_misread_are_quoted(value: object, written: str) -> None:
    assert text(field=value).endswith(f": went field={written}")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_stays_json(number: float) -> None:
    assert members(number=number)["number"] == str(number)


def test_a_field_cannot_stand_in_for_another() -> None:
    line = members(time="t", level="l", logger="x", error="e", stack="s")
    assert (line["time"], line["level"], line["logger"]) == ("2026-11-21T19:31:00.123Z", "info", "pns.node")
    assert (line["time_"], line["level_"], line["logger_"]) == ("t", "l", "x")
    assert (line["error_"], line["stack_"]) == ("e", "s")
    assert "error" not in line


def test_the_servers_coloured_copy_is_no_field() -> None:
    assert text(color_message="\x1b[1mwent") == text()


# ── one line ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [text, lambda *a, **k: json.dumps(members(*a, **k))])
def test_nothing_breaks_its_line(make: object) -> None:
    assert callable(make)
    assert make(NASTY).isprintable()
    assert make("%s", NASTY).isprintable()
    assert make(field=NASTY, **{NASTY: 1}).isprintable()
    made = record()
    made.name = made.levelname = NASTY
    assert JSONFormatter().format(made).isprintable()


def test_json_gives_back_what_text_only_shows() -> None:
    assert members("%s", NASTY, field=NASTY)["message"] == NASTY
    assert members(field=NASTY)["field"] == NASTY


@given(st.text(), st.text())
def test_no_text_breaks_its_line(message: str, value: str) -> None:
    assert text("%s", message, field=value).isprintable()
    assert members("%s", message, field=value)["field"] == value


def test_a_traceback_is_folded_into_the_line() -> None:
    line = TextFormatter().format(failed(ValueError(NASTY)))
    assert line.isprintable()
    assert ': failed error="Traceback (most recent call last):\\n  File ' in line
    assert "ValueError: a\\r\\nb\\x1b" in line
    parsed = json.loads(JSONFormatter().format(failed(ValueError("why"))))
    assert parsed["error"].startswith("Traceback (most recent call last):\n")
    assert parsed["error"].endswith("ValueError: why")


def test_a_stack_is_folded_into_the_line() -> None:
    made = record()
    made.stack_info = "Stack (most recent call last):\n  here"
    assert TextFormatter().format(made).endswith(' stack="Stack (most recent call last):\\n  here"')
    assert json.loads(JSONFormatter().format(made))["stack"].endswith("\n  here")


def test_outside_of_an_exception_there_is_no_error() -> None:
    made = record()
    made.exc_info = (None, None, None)
    assert TextFormatter().format(made) == text()


# ── configure ─────────────────────────────────────────────────────────────────────────────────────────


def configured(**settings: str) -> io.StringIO:
    stream = io.StringIO()
    configure(LogSettings(**settings), stream)  # type: ignore[arg-type]
    return stream


def test_every_logger_of_pns_speaks_once() -> None:
    stream = configured()
    configure(LogSettings(), stream)
    logging.getLogger("pns.a.b").info("one", extra={"n": 1})
    logging.getLogger("pns.a.b").debug("silent")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("Z INFO pns.a.b: one n=1\n")


def test_json_lines() -> None:
    stream = configured(format="json")
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("pns").exception("bad")
    logging.getLogger("pns").error("worse")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["level"], second["message"]) == ("bad", "error", "worse")
    assert first["error"].endswith("OSError: gone")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", "debug info warning error"),
        ("info", "info warning error"),
        ("warning", "warning error"),
        ("error", "error"),
    ],
)
def test_the_level(level: str, heard: str) -> None:
    stream = configured(level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("pns.x"), name)(name)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == heard.split()


@pytest.mark.parametrize(
    "name", ["httpx2", "httpcore2.http11", "aiosqlite", "websockets.server", "nats", "a"]
)
def test_other_libraries_speak_from_warning_on(name: str) -> None:
    stream = configured(level="debug")
    logging.getLogger(name).info("request with a cookie")
    logging.getLogger(name).debug("header with a cookie")
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("heard")
    assert stream.getvalue().endswith(f"WARNING {name}: heard\n")


def test_the_server_speaks_in_the_same_format() -> None:
    before = io.StringIO()
    for name in UVICORN:
        logging.getLogger(name).addHandler(logging.StreamHandler(before))
        logging.getLogger(name).propagate = False
    stream = configured(level="debug")
    server = logging.getLogger("uvicorn.error")
    server.info("Uvicorn running on %s", "http://a", extra={"color_message": "\x1b[1mrunning\x1b[0m"})
    server.debug("< cookie: %s", "sid=1")
    logging.getLogger("uvicorn.access").info("GET /?token=1")
    logging.getLogger("uvicorn.asgi").warning("odd")
    lines = stream.getvalue().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "INFO uvicorn.error: Uvicorn running on http://a",
        "WARNING uvicorn.asgi: odd",
    ]
    assert before.getvalue() == ""
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_a_connection_is_no_line() -> None:
    stream = configured(level="debug")
    server = logging.getLogger("uvicorn.error")
    server.info('%s - "WebSocket %s" [accepted]', "1.2.3.4", "/subscribe?token=1")
    server.info('%s - "WebSocket %s" %d', "1.2.3.4", "/subscribe?token=1", 401)
    for message in ("connection open", "connection closed", "connection rejected (%d %s)"):
        server.info(message)
    assert stream.getvalue() == ""
    server.error("connection handler failed")
    assert "connection handler failed" in stream.getvalue()


def test_the_server_is_no_louder_than_asked() -> None:
    stream = configured(level="error")
    logging.getLogger("uvicorn.error").warning("quiet")
    assert stream.getvalue() == ""


def test_warnings_are_lines() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        stream = configured(format="json")
        warnings.warn("old", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["logger"] == "py.warnings"


def test_settings_can_be_logged_without_their_secrets() -> None:
    settings = Settings(
        app=AppSettings(api_keys=("canary-key-0123456789",)), session=SessionSettings(secret="canary-secret")
    )
    for form in ("text", "json"):
        stream = configured(format=form)
        logging.getLogger("pns").info("started with %r", settings, extra={"settings": settings})
        assert "cookie_name" in stream.getvalue()
        assert "canary" not in stream.getvalue()
