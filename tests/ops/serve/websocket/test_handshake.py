"""Which requests may open a WebSocket. The answers on a real socket: tests/e2e/test_handshake.py."""

from __future__ import annotations

import pytest

from pns.ops.serve.answers import BAD_REQUEST, answer
from pns.ops.serve.websocket.handshake import (
    BAD_KEY,
    BAD_VERSION,
    NO_UPGRADE,
    NOT_GET,
    Head,
    judge,
    offered,
    plain_answer,
    switching,
)

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"sec-websocket-version", b"13")
CONNECTION = (b"connection", b"keep-alive, Upgrade")
UPGRADE = (b"upgrade", b"WebSocket")
GOOD = (KEY, VERSION, CONNECTION, UPGRADE)


def head(*headers: tuple[bytes, bytes], method: str = "GET", target: bytes = b"/subscribe") -> Head:
    return Head(method, target, headers)


def without(*left_out: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(header for header in GOOD if header not in left_out)


def test_the_example_of_the_rfc() -> None:
    assert judge(head(*GOOD)) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (head(*GOOD, method="POST"), NOT_GET),
        (head(*without(CONNECTION)), NO_UPGRADE),
        (head(*without(CONNECTION), (b"connection", b"upgrades")), NO_UPGRADE),
        (head(*without(UPGRADE)), NO_UPGRADE),
        (head(*GOOD, (b"upgrade", b"h2c")), NO_UPGRADE),
        (head(*without(KEY)), BAD_KEY),
        (head(*GOOD, KEY), BAD_KEY),
        (head(*without(KEY), (KEY[0], b"dGhlIHNhbXBsZQ==")), BAD_KEY),
        (head(*without(KEY), (KEY[0], b"dGhlIHNhbXBsZSBub25jZQ")), BAD_KEY),
        (head(*without(KEY), (KEY[0], b"\xe9")), BAD_KEY),
        (head(*without(VERSION)), BAD_VERSION),
        (head(*without(VERSION), (VERSION[0], b"8")), BAD_VERSION),
        (head(*GOOD, VERSION), BAD_REQUEST),
        (head(*GOOD, (b"origin", b"http://a"), (b"origin", b"http://a")), BAD_REQUEST),
        (head(*GOOD, target=b"/\xe9"), BAD_REQUEST),
        (head(*GOOD, (b"content-length", b"4")), BAD_REQUEST),
        (head(*GOOD, (b"transfer-encoding", b"chunked")), BAD_REQUEST),
    ],
)
def test_what_is_wrong_is_told(asked: Head, refusal: object) -> None:
    assert judge(asked) is refusal


def test_a_body_of_nothing_and_several_lines_are_well() -> None:
    split = (b"connection", b"keep-alive"), (b"connection", b"upgrade")
    assert isinstance(judge(head(*without(CONNECTION), *split, (b"content-length", b"0"))), bytes)


def test_subprotocols_in_several_lines() -> None:
    name = b"sec-websocket-protocol"
    assert offered([(name, b"pns.v1, a"), (b"x", b"y"), (name, b"b")]) == ["pns.v1", "a", "b"]


def test_answers() -> None:
    assert switching(b"x", [(b"a", b"b")]).split(b"\r\n")[-3:] == [b"a: b", b"", b""]
    assert plain_answer(403, [(b"content-length", b"1")], b"x").startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"sec-websocket-version: 13\r\n" in answer(BAD_VERSION)
