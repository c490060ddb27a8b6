"""Every way in which the application can fail to answer: never a login, never longer than the timeout."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
import struct
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pns.errors import AuthUnavailable, Forbidden, Unauthorized

from .backend import Asked, Behaviour, answering, hang, reply, running, sending
from .conftest import World, cookie

TIMEOUT = 60.0
"""Seconds of the loop's time, which `pass_by` lets pass: no test waits for them."""

YES = b'{"user_id": "42"}'


async def drip_headers(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_body(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n" + YES)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_interim(asked: Asked, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2 * TIMEOUT)
    writer.write(reply(200, YES))


async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n")
    for _ in range(800):
        writer.write(b" " * 65_536)
        await writer.drain()


async def endless_no(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 52428800\r\n\r\n")
    for _ in range(800):
        writer.write(b" " * 65_536)
        await writer.drain()


async def drip_no(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 60000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0)


async def reset_no(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 60000\r\n\r\n<")
    await writer.drain()
    await reset(asked, writer)


async def reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def chunked(*chunks: bytes) -> Behaviour:
    return sending(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(chunks))


def doubts(yes: bytes) -> dict[str, Behaviour]:
    """Answers that say nothing, though many of them hold `yes`."""
    return {
        "never answers": hang,
        "slow": slow,
        "drips headers": drip_headers,
        "drips body": drip_body,
        "drips interim answers": drip_interim,
        "302": answering(302, yes, b"location: /login-page"),
        "301 without location": answering(301, yes),
        "307 to another host": answering(307, yes, b"location: http://127.0.0.1:1/"),
        "HTML": answering(200, b"<!doctype html><title>Log in</title>", b"content-type: text/html"),
        "empty body": answering(200),
        "{}": answering(200, b"{}"),
        "user_id null": answering(200, b'{"user_id": null}'),
        "user_id list": answering(200, b'{"user_id": []}'),
        "user_id list of one": answering(200, b'{"user_id": ["42"]}'),
        "user_id object": answering(200, b'{"user_id": {"id": "42"}}'),
        "user_id empty": answering(200, b'{"user_id": ""}'),
        "user_id 1e9": answering(200, b'{"user_id": 1e9}'),
        "user_id 4.0": answering(200, b'{"user_id": 4.0}'),
        "user_id true": answering(200, b'{"user_id": true}'),
        "user_id false": answering(200, b'{"user_id": false}'),
        "user_id too long": answering(200, b'{"user_id": "%s"}' % (b"x" * 256)),
        "user_id ..": answering(200, b'{"user_id": ".."}'),
        "user_id with NUL": answering(200, b'{"user_id": "4\\u00002"}'),
        "user_id lone surrogate": answering(200, b'{"user_id": "\\ud800"}'),
        "user_id not UTF-8": answering(200, b'{"user_id": "\xff"}'),
        "user_id of 300 digits": answering(200, b'{"user_id": %s}' % (b"9" * 300)),
        "list": answering(200, b'[{"user_id": "42"}]'),
        "string": answering(200, b'"42"'),
        "number": answering(200, b"42"),
        "null": answering(200, b"null"),
        "deep": answering(200, b'{"user_id": %s}' % (b"[" * 30_000)),
        "two byte order marks": answering(200, BOM_UTF8 * 2 + yes),
        "a byte order mark alone": answering(200, BOM_UTF8),
        "UTF-16": answering(200, yes.decode().encode("utf-16")),
        "cut JSON": answering(200, yes[:-1]),
        "two JSON values": answering(200, yes + yes),
        "NaN": answering(200, b'{"user_id": NaN}'),
        "201": answering(201, yes),
        "203": answering(203, yes),
        "204": sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "206": answering(206, yes),
        "304": sending(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        "400": answering(400, yes),
        "404": answering(404, yes),
        "407": answering(407, yes),
        "418": answering(418, yes),
        "429": answering(429, yes),
        "500": answering(500, yes),
        "503": answering(503, yes),
        "status 999": answering(999, yes),
        "50 MB": endless,
        "one byte over 64 KiB": answering(200, yes + b" " * (65_537 - len(yes))),
        "gzip bomb": answering(200, gzip.compress(b" " * 30_000_000), b"content-encoding: gzip"),
        "gzip": answering(200, gzip.compress(yes), b"content-encoding: gzip"),
        "unknown coding": answering(200, yes, b"content-encoding: x-own"),
        "identity and gzip": answering(200, yes, b"content-encoding: identity", b"content-encoding: gzip"),
        "bad chunk size": chunked(b"zz\r\n" + yes + b"\r\n0\r\n\r\n"),
        "chunk without end": chunked(b"11\r\n" + yes + b"XX0\r\n\r\n"),
        "huge chunk size": chunked(b"f" * 40 + b"\r\n" + yes),
        "chunks never end": chunked(b"11\r\n" + yes + b"\r\n"),
        "content-length lies": sending(
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" + yes, then_close=True
        ),
        "two content-lengths": answering(200, yes, b"content-length: 3"),
        "closes at once": sending(b"", then_close=True),
        "RST": reset,
        "not HTTP": sending(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", then_close=True),
        "HTTP/2 preface": sending(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", then_close=True),
        "endless header line": sending(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000),
        "header line without colon": sending(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"),
        "101": sending(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + yes),
    }


DOUBTS = doubts(YES)


UNENDED = (
    *("never answers", "slow", "chunks never end"),
    *("drips headers", "drips body", "drips interim answers"),
)
"""These say nothing that ends the question. All others are known as doubts at once."""


@pytest.fixture
def pass_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for the loop of the test: what waits for a moment until then is woken now."""

    def pass_by(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + seconds)

    return pass_by


@pytest.mark.parametrize("name", DOUBTS)
async def test_a_doubt_is_never_a_login_and_never_late(
    name: str, world: World, pass_by: Callable[[float], None]
) -> None:
    async with (
        running(DOUBTS[name]) as backend,
        world.login(backend.url(), timeout_seconds=TIMEOUT) as authority,
    ):
        login = asyncio.create_task(authority.login(cookie("sid=42")))
        if name in UNENDED:
            await backend.until_asked(1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not login.done()
            pass_by(TIMEOUT)
        with pytest.raises(AuthUnavailable):
            await login
        assert len(backend.asked) == 1
        # The authority is none the worse for it, and kept nothing.
        backend.behaviour = answering(200, YES)
        assert (await authority.login(cookie("sid=42"))).user_id == "42"
        assert len(backend.asked) == 2
        await authority.stop()
        assert world.outcomes() == {"asked_doubt": 1, "asked_yes": 1}


async def test_down(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with world.login(f"http://localhost:{unused.getsockname()[1]}/") as authority:
            with pytest.raises(AuthUnavailable):
                await authority.login(cookie("sid=42"))


async def test_a_name_that_does_not_exist(world: World) -> None:
    async with world.login("http://pns.invalid/") as authority:
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))


async def test_a_peer_that_never_accepts(world: World, pass_by: Callable[[float], None]) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        async with world.login(f"http://127.0.0.1:{address[1]}/", timeout_seconds=TIMEOUT) as authority:
            login = asyncio.create_task(authority.login(cookie("sid=42")))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not login.done()
            pass_by(TIMEOUT)
            with pytest.raises(AuthUnavailable):
                await login
        for one in crowd:
            one.close()


@pytest.mark.parametrize("expired", [True, False])
async def test_a_certificate_that_nobody_vouches_for(expired: bool, world: World, tmp_path: Path) -> None:
    async with (
        running(answering(200, YES), tls=_self_signed(tmp_path, expired=expired)) as backend,
        world.login(backend.url(scheme="https")) as authority,
    ):
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))
        assert backend.asked == []


def _self_signed(folder: Path, *, expired: bool) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=9))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize(("status", "error"), [(401, Unauthorized), (403, Forbidden)])
async def test_a_no(status: int, error: type[Exception], world: World) -> None:
    async with running(answering(status, YES)) as backend, world.login(backend.url()) as authority:
        for _ in range(2):  # and it is not kept
            with pytest.raises(error):
                await authority.login(cookie("sid=42"))
        assert len(backend.asked) == 2
        assert world.outcomes() == {"asked_no": 2}


PAGE = b"<!doctype html>" + b"x" * 70_000
NO = b"HTTP/1.1 401 No\r\n"
CHUNKS = NO + b"transfer-encoding: chunked\r\n\r\n"

NOES: dict[str, Behaviour] = {
    "a page of 70 KB": answering(401, PAGE),
    "one byte over 64 KiB": answering(401, b" " * 65_537),
    "gzip": answering(401, gzip.compress(YES), b"content-encoding: gzip"),
    "gzip bomb": answering(401, gzip.compress(b" " * 90_000_000), b"content-encoding: gzip"),
    "unknown coding": answering(401, YES, b"content-encoding: x-own"),
    "a page of 70 KB in chunks": sending(CHUNKS + b"11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n"),
    "a page that the end completes": sending(NO + b"\r\n" + PAGE, then_close=True),
    "cut off": sending(NO + b"content-length: 99\r\n\r\n" + YES, then_close=True),
    "cut off behind the head": sending(NO + b"content-length: 99\r\n\r\n", then_close=True),
    "cut off in chunks": sending(CHUNKS + b"11\r\n" + YES + b"\r\n", then_close=True),
    "RST": reset_no,
    "bad chunk size": sending(CHUNKS + b"zz\r\n" + YES + b"\r\n0\r\n\r\n"),
    "a chunk that is all frame": sending(CHUNKS + b"1;" + b"x" * 2_000_000),
    "50 MB": endless_no,
    "drips": drip_no,
    "a head and no more": sending(NO + b"content-length: 99\r\n\r\n"),
    "chunks never end": sending(CHUNKS + b"11\r\n" + YES + b"\r\n"),
    "neither a length nor an end": sending(NO + b"\r\n" + YES),
    "another answer behind it": sending(
        NO + b"content-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n" + YES
    ),
}


WHOLE = ("gzip", "unknown coding")
"""These come to an end within the limit: the connection takes the next question."""


@pytest.mark.parametrize("name", NOES)
async def test_a_no_is_a_no_whatever_its_body(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", 0.0)
    async with (
        running(NOES[name]) as backend,
        world.login(backend.url(), timeout_seconds=TIMEOUT) as authority,
    ):
        for recheck in (False, True):
            with pytest.raises(Unauthorized):
                await authority.login(cookie("sid=42"), recheck=recheck)
        assert len(backend.asked) == 2
        # Nothing of the answer is left on a connection that is used again.
        backend.behaviour = answering(200, YES)
        assert (await authority.login(cookie("sid=42"))).user_id == "42"
        assert (len(backend.asked), backend.connections) == (3, 1 if name in WHOLE else 3)
        assert world.outcomes() == {"asked_no": 2, "asked_yes": 1}


@pytest.mark.parametrize("head", [b"HTTP/1.1 401 No\r\n", b"HTTP/1.1 401", b"HTTP/1.1 401 No\r\nx: y\r\n"])
async def test_a_part_of_a_head_is_no_no(head: bytes, world: World) -> None:
    async with running(sending(head, then_close=True)) as backend, world.login(backend.url()) as authority:
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))


async def test_a_no_that_begins_shortly_before_the_deadline(
    world: World, pass_by: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", 2 * TIMEOUT)
    monkeypatch.setattr("pns.runtime.http1.line._BEFORE_DEADLINE_SECONDS", TIMEOUT / 2)
    async with (
        running(NOES["a head and no more"]) as backend,
        world.login(backend.url(), timeout_seconds=TIMEOUT) as authority,
    ):
        login = asyncio.create_task(authority.login(cookie("sid=42")))
        await backend.until_asked(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not login.done(), "there is time for the body"
        pass_by(TIMEOUT / 2)
        with pytest.raises(Unauthorized):
            await login


async def test_head_and_body_of_a_no_may_come_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many servers write them: the connection is kept, for the body has come."""
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", TIMEOUT)

    async def apart(asked: Asked, writer: asyncio.StreamWriter) -> None:
        for piece in (b"HTTP/1.1 403 No\r\ncontent-length: 4\r\n\r\n", b"ab", b"cd"):
            writer.write(piece)
            await writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)

    async with (
        running(apart) as backend,
        world.login(backend.url(), timeout_seconds=2 * TIMEOUT) as authority,
    ):
        for _ in range(3):
            with pytest.raises(Forbidden):
                await authority.login(cookie("sid=42"))
        assert (len(backend.asked), backend.connections) == (3, 1)


@pytest.mark.parametrize(
    ("status", "more"), [(302, b"content-encoding: gzip"), (404, b"x: y"), (500, b"x: y"), (503, b"x: y")]
)
async def test_the_log_of_a_doubt_tells_the_status_and_not_the_body(
    status: int, more: bytes, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(answering(status, PAGE, more)) as backend, world.login(backend.url()) as authority:
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))
    (line,) = caplog.messages
    assert line.endswith(f": it answered {status}")


@pytest.mark.parametrize(
    ("body", "user_id"),
    [
        (b'{"user_id": "42"}', "42"),
        (b'{"user_id": 42}', "42"),
        (b'{"user_id": -7}', "-7"),
        (b'{"user_id": 123456789012345678901234567890}', "123456789012345678901234567890"),
        ('{"user_id": "Zoë / 😀"}'.encode(), "Zoë / 😀"),
        (b' {"name": {"a": [1.5, null]}, "user_id": "x", "user": null} \n', "x"),
        (YES + b" " * (65_536 - len(YES)), "42"),
        (BOM_UTF8 + YES, "42"),
        (BOM_UTF8 + b'\r\n{"user_id": "Zo\xc3\xab"}\r\n', "Zoë"),
    ],
)
async def test_a_yes(body: bytes, user_id: str, world: World) -> None:
    async with running(answering(200, body)) as backend, world.login(backend.url()) as authority:
        assert (await authority.login(cookie("sid=42"))).user_id == user_id


async def test_a_redirect_is_not_followed(world: World) -> None:
    async with running(answering(200, YES)) as trap:
        location = b"location: " + trap.url().encode()
        for status in (301, 302, 303, 307, 308):
            async with (
                running(answering(status, YES, location)) as backend,
                world.login(backend.url()) as authority,
            ):
                with pytest.raises(AuthUnavailable):
                    await authority.login(cookie("sid=42"))
        assert trap.asked == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_environment_names_no_proxy(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(answering(200, b'{"user_id": "of the proxy"}')) as trap:
        monkeypatch.setenv(name, trap.url(""))
        async with running(answering(200, YES)) as backend, world.login(backend.url()) as authority:
            assert (await authority.login(cookie("sid=42"))).user_id == "42"
        assert trap.asked == []


async def test_netrc_gives_no_password(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login root password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with running(answering(200, YES)) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("sid=42"))
        assert backend.asked[0].all(b"authorization") == []


async def test_a_doubt_is_logged_once_and_without_any_header(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "sid=canary-b7f3"
    echo = sending(b"HTTP/1.1 200 OK\r\n" + canary.encode() + b" nonsense\r\n\r\n")
    async with running(echo) as backend, world.login(backend.url()) as authority:
        with caplog.at_level(logging.INFO):
            for _ in range(5):
                with pytest.raises(AuthUnavailable):
                    await authority.login(cookie(canary))
            world.clock.advance(1)
            with pytest.raises(AuthUnavailable):
                await authority.login(cookie(canary + "\nset-cookie: x"))
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in warnings] == ["pns.adapters.authorities.application"] * 2
    assert "no HTTP/1.1 answer" in warnings[0].getMessage()
    assert "4 more" in warnings[1].getMessage()
    assert "canary" not in caplog.text
