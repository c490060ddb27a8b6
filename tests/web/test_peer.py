"""Who really asked: proxies that are trusted are believed, nobody else ever is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.web.peer import Peer, TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])


def scope(
    client: str | None = "10.0.0.1", scheme: str = "http", **headers: str | list[str]
) -> dict[str, Any]:
    lines = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return {"client": client and (client, 1234), "scheme": scheme, "headers": lines}


FORGED = {
    "host": "pns.example",
    "x_forwarded_for": "203.0.113.9",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "evil.example",
}


@pytest.mark.parametrize(
    "client", ["203.0.113.5", "127.0.0.1", "::1", "11.0.0.1", "192.0.2.2", "2001:db8::1"]
)
def test_nobody_else_is_believed(client: str) -> None:
    assert PROXIES.peer(scope(client, **FORGED)) == Peer(client, "http", "pns.example")


@pytest.mark.parametrize("client", ["unix", "testclient", "", "not an address", "10.0.0.1.evil"])
def test_a_peer_without_an_address_is_not_trusted(client: str) -> None:
    everybody = TrustedProxies(["0.0.0.0/0", "::/0"])
    assert everybody.peer(scope(client, **FORGED)) == Peer(client, "http", "pns.example")


def test_without_a_peer_there_is_no_address() -> None:
    assert PROXIES.peer(scope(None, **FORGED)) == Peer("", "http", "pns.example")
    assert PROXIES.peer({"headers": []}) == Peer("", "http", "")


@pytest.mark.parametrize("client", ["10.0.0.1", "192.0.2.1", "fd00::1", "::ffff:10.0.0.1"])
def test_a_trusted_proxy_is_believed(client: str) -> None:
    assert PROXIES.peer(scope(client, **FORGED)) == Peer("203.0.113.9", "https", "evil.example")


def test_an_address_is_in_canonical_form_whoever_sent_it() -> None:
    assert PROXIES.peer(scope("2001:DB8:0::1")).address == "2001:db8::1"
    assert PROXIES.peer(scope("::ffff:203.0.113.5")).address == "203.0.113.5"


def test_loopback_is_trusted_when_it_is_listed() -> None:
    assert TrustedProxies(["127.0.0.1"]).peer(scope("127.0.0.1", **FORGED)).address == "203.0.113.9"


def test_by_default_nobody_is_trusted() -> None:
    assert TrustedProxies([]).peer(scope("127.0.0.1", **FORGED)) == Peer("127.0.0.1", "http", "pns.example")


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("198.51.100.1,203.0.113.9,10.1.1.1,192.0.2.1", "203.0.113.9"),
        ("198.51.100.1, 10.1.1.1, 203.0.113.9", "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9", "10.9.9.9"], "203.0.113.9"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.3.3.3", "10.3.3.3"),
        ("127.0.0.1", "127.0.0.1"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0:0::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("2001:db8::1, [fd00::7]:80", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.9", "203.0.113.9"),
        ("fe80::1%eth0\x1b[31m", "fe80::1"),
        (" , 203.0.113.9 ,, ", "203.0.113.9"),
        # what a client wrote to the left of the first untrusted hop does not matter
        ("garbage, 203.0.113.9", "203.0.113.9"),
        # what no proxy would have written: the direct peer is all that is known
        ("203.0.113.9, garbage", "10.0.0.1"),
        ("203.0.113.9, unknown, 10.1.1.1", "10.0.0.1"),
        ("203.0.113.9:port", "10.0.0.1"),
        ("203.0.113.9:²", "10.0.0.1"),
        ("256.1.1.1", "10.0.0.1"),
        ("010.0.0.1", "10.0.0.1"),
        ("[2001:db8::1", "2001:db8::1"),
        ("[203.0.113.9]x", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ", "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_address_is_the_rightmost_that_is_no_proxy(hops: str | list[str], address: str) -> None:
    assert PROXIES.peer(scope(x_forwarded_for=hops)).address == address


@pytest.mark.parametrize(
    ("scheme", "known"),
    [("http", "http"), ("https", "https"), ("ws", "http"), ("wss", "https"), ("x", "http")],
)
def test_websockets_count_as_http(scheme: str, known: str) -> None:
    assert PROXIES.peer(scope("203.0.113.5", scheme)).scheme == known


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("http, https", "https"),
        ("https, http", "http"),
        (["http", "https"], "https"),
        ("gopher", "http"),
        ("https, gopher", "http"),
        ("", "http"),
    ],
)
def test_the_last_scheme_counts(sent: str | list[str], known: str) -> None:
    assert PROXIES.peer(scope(x_forwarded_proto=sent)).scheme == known


def test_what_the_server_knows_stays_without_the_header() -> None:
    assert PROXIES.peer(scope(scheme="wss", x_forwarded_proto="gopher")).scheme == "https"


@pytest.mark.parametrize(
    ("sent", "host"),
    [
        ("app.example", "app.example"),
        ("App.Example:8443", "App.Example:8443"),
        ("a.example, b.example", "b.example"),
        (["a.example", "b.example"], "b.example"),
        ("", "internal:8080"),
        (" , ", "internal:8080"),
    ],
)
def test_the_last_host_counts(sent: str | list[str], host: str) -> None:
    assert PROXIES.peer(scope(host="internal:8080", x_forwarded_host=sent)).host == host


def test_two_hosts_are_none() -> None:
    assert PROXIES.peer(scope("203.0.113.5", host=["a.example", "b.example"])).host == ""
    assert PROXIES.peer(scope("203.0.113.5")).host == ""


def test_header_names_in_any_case() -> None:
    request = scope("203.0.113.5")
    request["headers"] = [(b"Host", b"a.example")]
    assert PROXIES.peer(request).host == "a.example"


@given(st.lists(st.tuples(st.sampled_from(["for", "proto", "host"]), st.binary(max_size=60)), max_size=6))
def test_no_header_raises_and_the_untrusted_change_nothing(lines: list[tuple[str, bytes]]) -> None:
    headers = [(f"x-forwarded-{name}".encode(), value) for name, value in lines]
    request = scope("10.0.0.1") | {"headers": headers}
    assert PROXIES.peer(request).scheme in ("http", "https")
    assert PROXIES.peer(request | {"client": ("203.0.113.5", 1)}) == Peer("203.0.113.5", "http", "")


def test_a_wrong_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy"):
        TrustedProxies(["proxy.local"])
