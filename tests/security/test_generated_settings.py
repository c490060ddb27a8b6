"""Whatever the settings say, a command of `pns` ends with 0, 1 or 2 and never by a traceback, and no output
has a piece of a secret.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pns.node import Node
from pns.ops import cli
from pns.ops.serve import logs
from pns.ops.serve import run as serving
from pns.settings import LogSettings, Settings
from tests.harness.server import free_port
from tests.settings.test_settings import KEYS

PIECE = "xqzk"
"""In every secret, on both sides of each mark that breaks URLs: so any piece of a secret is found."""
MARKS = [
    "",
    "@",
    ":",
    "/",
    "?",
    "#",
    "[",
    "]",
    "%",
    "&",
    "=",
    "%zz",
    "%40",
    "%00",
    " ",
    '"',
    "'",
    "\\",
    "é",
    "+",
    ",",
]
SECRETS = ("app.api_keys", "session.secret", "push.webpush.private_key", "push.mqtt.password")

COMMANDS = [
    *(["serve"], ["migrate"], ["doctor"], ["notify", "alice", "x"], ["listen"], ["keygen"]),
    *(["copy", "--to", "sqlite:///copy.db"], ["devices", "list", "--user", "alice"], ["push", "status"]),
    *(["devices", "show", "d-1"], ["devices", "test", "d-1"], ["webpush", "keygen"]),
    ["devices", "regateway", "--from", "fcm", "--to", "azure", "--network", "fcm"],
]

marks = st.sampled_from(MARKS)
secrets = st.builds(
    lambda parts, ends: ends[0] + "".join(f"{PIECE}{mark}" for mark in parts) + PIECE + ends[1],
    st.lists(marks, min_size=2, max_size=5),
    st.tuples(marks, marks),
)
hosts = st.sampled_from(
    [
        *("127.0.0.1:1", "127.0.0.1", "[::1]:1", "localhost:1", "127.0.0.1:1,127.0.0.1:2", "%2Fnowhere"),
        *(
            "",
            "[::1",
            "a..b",
            "-",
            "a" * 64,
            "127.0.0.1:0",
            "127.0.0.1:99999",
            "127.0.0.1:x",
            "[x]",
            "é",
            "a b",
        ),
    ]
)
options = st.lists(
    st.sampled_from(
        [
            *("sslmode=require", "sslmode=verify-full", "sslmode=x", "sslrootcert=system", "sslcert=/no"),
            *(
                "channel_binding=require",
                "connect_timeout=1",
                "pgbouncer=true",
                "schema=public",
                "foo=1",
                "x",
            ),
            *(
                "target_session_attrs=standby",
                "port=x",
                "host=/nowhere",
                "options=-c%20a%3Db",
                "%ff=1",
                "a=%00",
            ),
            *(
                "db=3",
                "db=x",
                "ssl_cert_reqs=none",
                "family=0",
                "service=none",
                "passfile=/dev/null",
                "ssl=true",
            ),
            *("user=", "sslpassword=x", "application_name=%ff", "ssl_min_protocol_version=TLSv1.3", "a.b=c"),
            *(
                "sslnegotiation=direct",
                "gsslib=sspi",
                "krbsrvname=x",
                "ssl_min_version=771",
                "client_name=a%20b",
            ),
        ]
    ),
    max_size=3,
)
schemes = st.sampled_from(
    [
        *("sqlite", "postgresql", "redis", "rediss", "nats", "local", "mqtt", "mqtts", "http", "https", "ws"),
        *("postgres", "mysql", "SQLITE", "", "unix", "a b"),
    ]
)
paths = st.sampled_from(
    [
        *(
            "",
            "pns",
            "pns.db",
            "/pns.db",
            "no/such/pns.db",
            "/dev/null",
            "/",
            ".",
            "a#b.db",
            "a?b.db",
            "a%00b",
        ),
        *("a%ff", "é.db", ":memory:", "%", "x" * 300, "3", "a/b", "\u202e", "..", "config.toml", " "),
    ]
)
urls = st.builds(
    lambda scheme, login, host, path, query: (
        f"{scheme}://{login}{host}/{path}" + (f"?{'&'.join(query)}" if query else "")
    ),
    schemes,
    st.one_of(st.just(""), st.builds("u:{}@".format, secrets), st.builds(":{}@".format, secrets)),
    hosts,
    paths,
    options,
)
values = st.one_of(
    urls,
    paths,
    st.sampled_from(
        [
            *(
                "0",
                "-1",
                "1",
                "80.5",
                "nan",
                "9" * 400,
                "true",
                "yes",
                "[]",
                '""',
                "a,b",
                "::",
                "a..b",
                "[::1]",
            ),
            *("lax", "none", "__Host-x", "mailto:<a@b.example>", "mailto:a@b.example", "https://localhost"),
            *(
                "0.0.0.0/0",
                "*",
                "https://a.example",
                "HOST",
                "GET",
                "\x07",
                "\udc80",
                "x" * 5000,
                "text",
                "json",
            ),
            "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=" + PIECE,
            f"http://127.0.0.1:1/?token={PIECE}",
        ]
    ),
)
URLS = [key for key in KEYS if key.endswith("url") or key in ("app.oauth2.issuer", "push.mqtt.url")]


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """A few settings: the two URLs that everything needs more often than others."""
    keys = draw(
        st.sets(st.one_of(st.sampled_from(["store.url", "bus.url"]), st.sampled_from(list(KEYS))), max_size=4)
    )
    found = {}
    for key in sorted(keys):
        kind = secrets if key in SECRETS else st.one_of(urls, values) if key in URLS else values
        found["PNS_" + key.upper().replace(".", "__")] = draw(kind)
    return found


async def _serve_briefly(settings: Settings, node: Node, *_: object, **__: object) -> None:
    async with node:
        pass


@contextmanager
def _alone(environ: dict[str, str]) -> Iterator[None]:
    """In an empty folder, with these settings alone."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        defaults = {"PNS_AUTH__URL": "http://127.0.0.1:1/", "PNS_SERVER__PORT": str(free_port())}
        defaults["PNS_APP__API_KEYS"] = f"{PIECE}-0123456789-abcdef"
        for name, text in {**defaults, **environ}.items():
            monkeypatch.setenv(name, text)
        yield


def ended(command: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """The exit code of `pns`, and everything that it printed."""
    printed = StringIO()
    with (
        _alone(environ),
        redirect_stdout(printed),
        redirect_stderr(printed),
        patch.object(sys, "argv", ["pns", *command]),
        patch.object(serving, "serve", _serve_briefly),
        pytest.raises(SystemExit) as end,
    ):
        cli.main()
    code = end.value.code
    return (code if isinstance(code, int) else 0), printed.getvalue()


def check(command: list[str], environ: dict[str, str]) -> None:
    code, printed = ended(command, environ)
    assert code in (0, 1, 2), printed
    assert "Traceback" not in printed, printed
    assert PIECE not in printed, printed
    assert printed.strip() or not code, "a failure says why"


QUICK: dict[str, Any] = {"suppress_health_check": list(HealthCheck)}


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    yield
    logs.configure(LogSettings())


@settings(max_examples=40, derandomize=True, **QUICK)
@given(command=st.sampled_from(COMMANDS), environ=environments())
def test_no_settings_end_in_a_traceback(command: list[str], environ: dict[str, str]) -> None:
    check(command, environ)


@pytest.mark.soak
@settings(max_examples=2_000, **QUICK)
@given(command=st.sampled_from(COMMANDS), environ=environments())
def test_two_thousand_settings(command: list[str], environ: dict[str, str]) -> None:
    check(command, environ)
