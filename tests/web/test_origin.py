"""The Origin rule: a table of what browsers and attackers send, and the CORS headers that follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.errors import OriginNotAllowed
from pns.web.origin import check_origin, cors_headers, preflight_headers
from pns.web.peer import Peer

ALLOWED = (
    "https://app.example",
    "http://localhost:3000",
    "https://[2001:db8::1]:8443",
    "chrome-extension://abcdefgh",
    "capacitor://localhost",
    "https://xn--bcher-kva.example",
    "HTTPS://Upper.Example:443",
)

OWN = None
"""What check_origin returns for a page of PNS's own host."""


def check(origin: str | None, host: str = "pns.example", scheme: str = "https", **more: str) -> str | None:
    headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in more.items()]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    return check_origin(headers, Peer("203.0.113.5", scheme, host), ALLOWED)


SAME_ORIGIN = [
    # origin, host, scheme
    ("https://pns.example", "pns.example", "https"),
    ("https://pns.example", "pns.example:443", "https"),
    ("https://pns.example:443", "pns.example", "https"),
    ("https://pns.example", "pns.example:", "https"),
    ("https://pns.example", "PNS.Example", "https"),
    ("HTTPS://PNS.EXAMPLE", "pns.example", "https"),
    ("https://pns.example:8443", "pns.example:8443", "https"),
    ("http://pns.example", "pns.example", "http"),
    ("http://pns.example", "pns.example:80", "http"),
    ("http://pns.example:8080", "pns.example:8080", "http"),
    # TLS ends at a proxy that is not trusted: https is not known, and the port is the Origin's default
    ("https://pns.example", "pns.example", "http"),
    ("https://pns.example:8443", "pns.example:8443", "http"),
    ("http://localhost:8080", "localhost:8080", "http"),
    ("http://127.0.0.1:8080", "127.0.0.1:8080", "http"),
    ("http://[::1]:8080", "[::1]:8080", "http"),
    ("https://[2001:DB8::2]", "[2001:db8::2]", "https"),
    ("https://xn--pns-0ra.example", "xn--pns-0ra.example", "https"),
    ("https://pns.example.", "pns.example.", "https"),
    ("https://pns_x.example", "pns_x.example", "https"),
]


@pytest.mark.parametrize(("origin", "host", "scheme"), SAME_ORIGIN)
def test_its_own_pages_are_let_in(origin: str, host: str, scheme: str) -> None:
    assert check(origin, host, scheme) is OWN


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "https://app.example:443",
        "https://APP.example",
        "http://localhost:3000",
        "https://[2001:db8::1]:8443",
        "chrome-extension://abcdefgh",
        "capacitor://localhost",
        "https://xn--bcher-kva.example",
        "https://upper.example",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_allowed_origin_is_let_in_and_returned_as_sent(origin: str, scheme: str) -> None:
    assert check(origin, scheme=scheme) == origin


REFUSED = [
    # another host, and tricks with prefix and suffix
    "https://evil.example",
    "https://pns.example.evil.example",
    "https://evilpns.example",
    "https://xpns.example",
    "https://sub.pns.example",
    "https://example",
    "https://pns.exampl",
    "https://pns.example2",
    "https://pns-example",
    "https://app.example.evil.com",
    "https://myapp.example",
    "https://sub.app.example",
    # another port
    "https://pns.example:8443",
    "https://pns.example:80",
    "https://pns.example:0",
    "https://app.example:8443",
    "http://localhost",
    "http://localhost:3001",
    "http://localhost:30000",
    "https://pns.example:99999",
    "https://pns.example:0443",
    "https://pns.example:4_43",
    "https://pns.example:",
    "https://pns.example:443:443",
    "https://pns.example:\u00b2",
    # another scheme
    "http://pns.example",
    "http://pns.example:443",
    "http://app.example",
    "https://localhost:3000",
    "ftp://pns.example",
    "wss://pns.example",
    "moz-extension://abcdefgh",
    "chrome-extension://pns.example",
    "file://",
    "javascript://pns.example",
    # no origin at all
    "null",
    "NULL",
    "",
    " ",
    "*",
    "pns.example",
    "//pns.example",
    "https:pns.example",
    "https:///pns.example",
    "https://",
    "https://*",
    "https://*.example",
    # more than an origin
    "https://pns.example/",
    "https://pns.example/x",
    "https://pns.example?x",
    "https://pns.example#x",
    "https://pns.example\\x",
    "https://user@pns.example",
    "https://user:pw@pns.example",
    "https://pns.example@evil.example",
    "https://pns.example:443@evil.example",
    "https://evil.example#@pns.example",
    "https://pns.example https://evil.example",
    "https://evil.example, https://pns.example",
    "https://pns.example\n",
    "https://pns.example\x00",
    "https://pns.example%00",
    "https://pns%2eexample",
    # another spelling
    "https://pns.example.",
    "https://app.example.",
    "https://pns..example",
    "https://p\u00f1s.example",
    "https://b\u00fccher.example",
    "https://[2001:db8::1]",
    "https://[2001:db8::1%25eth0]:8443",
    "https://2001:db8::1:8443",
    "https://[::ffff:127.0.0.1]",
    "https://127.0.0.1",
]


@pytest.mark.parametrize("origin", REFUSED)
def test_everything_else_is_refused(origin: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check(origin)


@pytest.mark.parametrize(
    "host", ["", "evil.example/pns.example", "pns.example:x", "pns.example,", "[::1", "a@b"]
)
def test_without_a_host_nothing_is_its_own(host: str) -> None:
    for origin in ("https://pns.example", f"https://{host}"):
        with pytest.raises(OriginNotAllowed):
            check(origin, host)
    assert check("https://app.example", host) == "https://app.example"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://pns.example", "pns.example:80"),
        ("https://pns.example:80", "pns.example"),
        ("http://pns.example", "pns.example:443"),
        ("http://pns.example:443", "pns.example"),
    ],
)
def test_a_missing_port_is_the_default_of_the_origins_scheme(origin: str, host: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check(origin, host, "http")


def test_two_origins_are_refused_even_when_both_are_good() -> None:
    headers = [(b"origin", b"https://pns.example")] * 2
    with pytest.raises(OriginNotAllowed):
        check_origin(headers, Peer("", "https", "pns.example"), ALLOWED)
    with pytest.raises(OriginNotAllowed):
        check_origin([*headers[:1], (b"Origin", b"")], Peer("", "https", "pns.example"), ALLOWED)


def test_an_impossible_entry_of_the_setting_matches_nothing() -> None:
    for entry in ("*", "null", "", "https://*.evil.example", "https://evil.example/"):
        for origin in (b"null", b"*", b"", b"https://evil.example"):
            with pytest.raises(OriginNotAllowed):
                check_origin([(b"origin", origin)], Peer("", "https", "pns.example"), [entry])


@given(st.text(st.characters(max_codepoint=255)))
def test_no_other_text_is_let_in(text: str) -> None:
    if text.strip(" \t").lower() in {origin.lower() for origin in ALLOWED} | {"https://pns.example"}:
        return
    with pytest.raises(OriginNotAllowed):
        check(text)


# ── without Origin ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("site", ["same-origin", "none", "", "anything"])
def test_without_an_origin_the_request_goes_on(site: str) -> None:
    assert check(None) is None
    assert check(None, sec_fetch_site=site) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", " same-site "])
def test_without_an_origin_from_another_site_it_does_not(site: str) -> None:
    with pytest.raises(OriginNotAllowed, match="Sec-Fetch-Site"):
        check(None, sec_fetch_site=site)


def test_with_an_origin_the_site_does_not_matter() -> None:
    assert check("https://app.example", sec_fetch_site="cross-site") == "https://app.example"


# ── what the refused are told ─────────────────────────────────────────────────────────────────────────


def test_the_refusal_names_both_sides_and_the_setting() -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        check("https://evil.example", "pns.example:8080", "http")
    message = str(caught.value)
    assert "https://evil.example" in message
    assert "pns.example:8080" in message
    assert "server.allowed_origins" in message
    assert "server.trusted_proxies" in message


def test_the_refusal_is_one_short_line() -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        check("https://evil\r\nSet-Cookie: a\x1b[31m\u0085" + "x" * 5000, "h\x1b" + "y" * 5000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


# ── CORS ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_to_a_foreign_origin() -> None:
    assert cors_headers("https://app.example") == [
        (b"access-control-allow-origin", b"https://app.example"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


def test_the_preflight() -> None:
    headers = dict(preflight_headers("https://app.example", ("cookie", "origin", "user-agent", "x-tenant")))
    assert headers.items() >= dict(cors_headers("https://app.example")).items()
    assert headers[b"access-control-allow-methods"] == b"GET, POST, PUT, PATCH, DELETE"
    assert headers[b"access-control-max-age"] == b"600"
    allowed = b"authorization, content-type, user-agent, x-tenant"
    assert headers[b"access-control-allow-headers"] == allowed


def test_the_preflight_names_no_wildcard() -> None:
    # With credentials a browser takes * for a name: https://fetch.spec.whatwg.org/#cors-protocol-and-credentials
    assert all(b"*" not in value for _, value in preflight_headers("https://app.example"))
