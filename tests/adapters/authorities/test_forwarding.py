"""What reaches the application: nothing outside the allow-list, byte for byte, whatever a device sends."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pns.contracts.authority import Credentials
from pns.errors import AuthUnavailable
from pns.model.forwarding import forwarded_headers, without_cookie
from pns.settings import FORWARD_HEADERS
from pns.settings.rules import NEVER_FORWARDED as NEVER
from pns.settings.rules import header_name

from .backend import answering, running
from .conftest import World, cookie, nobody

Headers = tuple[tuple[bytes, bytes], ...]

OWN = {
    *(b"host", b"accept", b"accept-encoding", b"content-length"),
    *(b"x-pns-device-id", b"x-pns-question"),
}
FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto", b"x-pns-host"}
NEVER_FORWARDED = {name.encode() for name in NEVER} | {b"x-pns-host", b"x-forwarded-host"}
LISTED = {name.encode() for name in FORWARD_HEADERS}

NAMES = [
    *(name.encode() for name in FORWARD_HEADERS),
    *sorted(NEVER_FORWARDED),
    *(
        b"Cookie",
        b"COOKIE",
        b"Connection",
        b"X-Forwarded-For",
        b"Host",
        b"Upgrade",
        b"cookie2",
        b"set-cookie",
    ),
    *(b"sec-websocket-key", b"sec-websocket-protocol", b"x-forwarded-host", b"forwarded", b"x-real-ip"),
    *(b"x-http-method-override", b"x-original-url", b"remote-user", b"range", b"if-none-match", b"referer"),
    *(b"authorization ", b"cook\xefe", b"x-user", b"dnt", b"content-type", b"proxy-connection"),
]
VALUES = [
    *(
        b"",
        b"close",
        b"cookie",
        b"keep-alive, Upgrade",
        b"cookie, authorization",
        b"Bearer x",
        b"en, de;q=0.5",
    ),
    *(b"pns_device=secret", b"sid=1; pns_device=secret", b"pns_device=secret;sid=1", b"a=b;  pns_device = x"),
    *(
        b"sid=\xe4\xf6\xfc",
        b"chunked",
        b"trailers",
        b"10",
        b"x" * 3000,
        b'a="b; c"',
        b"pns_device2=keep; q=1",
    ),
    *(b"evil.example", b"https://ok.example", b"=", b";;;", b"\xff\xfe", b"; ", b"x-user, te", b"a=b\tc"),
]
BROKEN = [b"a\r\nx-injected: 1", b"a\nx-injected: 1", b"a\rb", b"nul\0", b"\x00", b"a\r\n\r\nGET / HTTP/1.1"]


def _header_set(rng: random.Random, values: list[bytes]) -> Headers:
    count = rng.randrange(12)
    return tuple((rng.choice(NAMES), rng.choice(values)) for _ in range(count))


SETS_OF_HEADERS = given(st.randoms(use_true_random=False), st.sets(st.sampled_from(NAMES), max_size=8))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@SETS_OF_HEADERS
def test_only_listed_headers_pass_in_3_000_sets(rng: random.Random, extra: set[bytes]) -> None:
    _only_listed_pass(rng, extra)


@pytest.mark.soak
@settings(max_examples=1_200, suppress_health_check=[HealthCheck.too_slow])
@SETS_OF_HEADERS
def test_only_listed_headers_pass_in_120_000_sets(rng: random.Random, extra: set[bytes]) -> None:
    _only_listed_pass(rng, extra)


def _only_listed_pass(rng: random.Random, extra: set[bytes]) -> None:
    allow = [*FORWARD_HEADERS, *(name.decode("latin-1") for name in extra)]
    allowed = {name.lower() for name in LISTED | extra}
    for _ in range(100):
        sent = _header_set(rng, VALUES + BROKEN)
        passed = forwarded_headers(sent, allow=allow, cookie_name="pns_device")
        connection = b",".join(value for name, value in sent if name.lower() == b"connection").lower()
        named = {token.strip() for token in connection.split(b",")}
        for name, value in passed:
            assert name in allowed
            assert name not in NEVER_FORWARDED
            assert not name.startswith(b"sec-websocket-")
            assert name not in named
            assert name == b"cookie" or (name, value) in [(key.lower(), text.strip()) for key, text in sent]
        cookies = [value for name, value in passed if name == b"cookie"]
        assert len(cookies) <= 1
        for value in cookies:
            assert b"secret" not in value
        others = [header for header in passed if header[0] != b"cookie"]
        due = [
            (name.lower(), value.strip(b" "))
            for name, value in sent
            if name.lower() in LISTED - {b"cookie"} and name.lower() not in named
        ]
        assert [header for header in others if header[0] in LISTED] == due


@pytest.mark.parametrize("sets", [300, pytest.param(5_000, marks=pytest.mark.soak)])
async def test_nothing_else_is_on_the_wire(world: World, sets: int) -> None:
    """The same on a real socket, with what a device may send that breaks the framing of a request."""
    rng = random.Random(20261121)
    async with (
        running(answering(200, b'{"user_id": "42"}')) as backend,
        world.login(backend.url(), cache_seconds=0, timeout_seconds=30) as authority,
    ):
        refused = 0

        async def device(number: int) -> None:
            nonlocal refused
            values = VALUES + BROKEN if number % 4 == 0 else VALUES
            headers = forwarded_headers(
                _header_set(rng, values), allow=FORWARD_HEADERS, cookie_name="pns_device"
            )
            forwarded = (
                (b"x-forwarded-for", b"192.0.2.%d" % (number % 256)),
                (b"x-forwarded-proto", b"https"),
                (b"x-pns-host", b"shop.example"),
            )
            try:
                await authority.login(Credentials(headers, forwarded, f"device-{number}"), recheck=True)
            except AuthUnavailable:
                refused += 1
                assert any(byte in value for _, value in headers for byte in b"\0\r\n")

        for start in range(0, sets, 50):
            await asyncio.gather(*(device(number) for number in range(start, start + 50)))
        assert refused > sets // 40
        assert len(backend.asked) == sets - refused
        for asked in backend.asked:
            names = [name for name, _ in asked.headers]
            assert asked.line == b"POST /login HTTP/1.1"
            assert set(names) <= OWN | FORWARDED | LISTED
            assert all(names.count(name) == 1 for name in OWN | FORWARDED)
            assert b"injected" not in asked.raw
            assert not any(b"secret" in value for value in asked.all(b"cookie"))
            assert asked.all(b"host") == [b"localhost:%d" % backend.port]


async def test_the_request_exactly(world: World) -> None:
    async with (
        running(answering(200, b'{"user_id": "42"}')) as backend,
        world.login(backend.url("/who?from=pns&x=%2F")) as authority,
    ):
        await authority.login(nobody())
        await authority.login(
            Credentials(((b"cookie", b"n\xe4me=1"), (b"user-agent", b"Mozilla")), (), "device-2")
        )
        first, second = backend.asked
        assert first.line == b"POST /who?from=pns&x=%2F HTTP/1.1"
        assert first.headers == [
            (b"host", b"localhost:%d" % backend.port),
            (b"x-forwarded-for", b"192.0.2.7"),
            (b"x-pns-device-id", b"device-1"),
            (b"x-pns-question", b"login"),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"content-length", b"0"),
        ]
        assert second.all(b"cookie") == [b"n\xe4me=1"]
        assert second.all(b"user-agent") == [b"Mozilla"]


@pytest.mark.parametrize("value", BROKEN)
async def test_a_header_that_breaks_the_framing_is_never_sent(
    value: bytes, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running(answering(200, b'{"user_id": "42"}')) as backend,
        world.login(backend.url()) as authority,
    ):
        broken = [
            Credentials(((b"cookie", value),), (), "device"),
            Credentials(((value, b"x"),), (), "device"),
            Credentials((), ((b"x-forwarded-for", value),), "device"),
            Credentials((), (), value.decode()),
        ]
        for credentials in broken:
            with pytest.raises(AuthUnavailable):
                await authority.login(credentials)
            assert "CR, LF or NUL" in caplog.text  # by PNS's own rule, whatever the HTTP library allows
            caplog.clear()
            world.clock.advance(1)
        assert backend.asked == []
        assert (await authority.login(cookie("sid=1"))).user_id == "42"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"sid=1", b"sid=1"),
        (b"pns_device=x", b""),
        (b"sid=1; pns_device=x", b"sid=1"),
        (b"pns_device=x; sid=1", b"sid=1"),
        (b"a=1; pns_device=x; b=2", b"a=1; b=2"),
        (b"a=1;pns_device=x;b=2", b"a=1;b=2"),
        (b"pns_device=x; pns_device=y", b""),
        (b"a=1; pns_device = x", b"a=1"),
        (b"pns_device2=x; my_pns_device=y", b"pns_device2=x; my_pns_device=y"),
        (b"PNS_DEVICE=x", b"PNS_DEVICE=x"),
        (b"a=pns_device=x", b"a=pns_device=x"),
        (b"a=1;  ; b=\xff", b"a=1;  ; b=\xff"),
        (b"", b""),
    ],
)
def test_the_device_cookie_is_taken_out(sent: bytes, kept: bytes) -> None:
    assert without_cookie(sent, b"pns_device") == kept


def test_several_cookie_headers_become_one() -> None:
    sent = [(b"Cookie", b"a=1"), (b"origin", b"o"), (b"cookie", b"pns_device=x"), (b"cookie", b"b=2")]
    passed = forwarded_headers(sent, allow=("cookie", "origin"), cookie_name="pns_device")
    assert passed == ((b"cookie", b"a=1; b=2"), (b"origin", b"o"))


def test_the_list_is_read_in_any_case_and_an_empty_one_passes_nothing() -> None:
    sent = [(b"x-tenant", b"acme"), (b"cookie", b"a=1")]
    assert forwarded_headers(sent, allow=("X-Tenant",), cookie_name="c") == ((b"x-tenant", b"acme"),)
    assert forwarded_headers(sent, allow=(), cookie_name="c") == ()


@pytest.mark.parametrize("name", ["forwarded", "X-Forwarded-Host", "x-forwarded-port", "accept-encoding"])
def test_settings_that_a_program_built_cannot_pass_on_what_a_file_may_not_name(name: str) -> None:
    """The fix: one list, `is_never_forwarded`, for the check of a file and for each question."""
    with pytest.raises(ValueError, match="must not be a header of the connection itself"):
        header_name(name)
    assert forwarded_headers([(name.encode(), b"a lie")], allow=(name,), cookie_name="c") == ()
