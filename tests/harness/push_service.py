"""A push service on loopback (RFC 8030), stricter than real ones: what is not as the RFCs have it is a 400.

It checks each push and hands it to whoever subscribed, still encrypted: a `Subscriber` here, which decrypts
it, or a browser (autopush.py). A test tells it what else to answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

_FOUR_WEEKS = 28 * 86_400
_URGENCIES = {"very-low", "low", "normal", "high"}


class Message(NamedTuple):
    """A push as it came. Names of headers in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> jwt.Token:
        """What VAPID says, its signature checked. Raises ValueError or JoseError."""
        found = re.fullmatch(r"vapid t=([\w.-]+), k=([\w-]+)", self.headers.get("authorization", ""))
        assert found, "no VAPID"
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64url(found[2]))
        return jwt.decode(found[1], ECKey.import_key(key), algorithms=["ES256"])

    @property
    def key(self) -> str:
        return self.headers["authorization"].partition("k=")[2]


Deliver = Callable[[Message], None]
Reply = tuple[int, dict[str, str], bytes]


class Subscription(NamedTuple):
    deliver: Deliver
    key: str | None
    """The only VAPID key that may push; None: any."""


class PushService:
    """Use as `async with`. `now` gives the seconds since 1970 that tokens are checked with.

    `host`: how it is called in its endpoints; with `usual_port` as if it listened on 443 or 80. `reply`: what
    it answers instead of taking what comes; "hang": nothing; "reset": the line is cut.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        usual_port: bool = False,
    ) -> None:
        self.reply: Reply | str | None = None
        self.requests = 0
        self.messages: list[Message] = []
        self._now = now
        self._host = host
        self._usual_port = usual_port
        self._tls = tls
        self._subscriptions: dict[str, Subscription] = {}
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._host}" + ("" if self._usual_port else f":{self.port}")

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def subscribe(self, deliver: Deliver, *, key: str | None = None) -> str:
        """An endpoint whose messages go to `deliver`."""
        path = f"/push/{uuid4()}"
        self._subscriptions[path] = Subscription(deliver, key)
        return self.url + path

    def expire(self, endpoint: str) -> None:
        """From now on this endpoint is gone."""
        del self._subscriptions[endpoint.removeprefix(self.url)]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._lines.values():
            writer.transport.abort()
        await asyncio.gather(*self._lines)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._lines[task] = writer
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._lines[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        message = Message(headers, await reader.readexactly(int(headers["content-length"])))
        self.requests += 1
        if self.reply == "hang":
            await reader.read()
        if isinstance(self.reply, str):
            writer.transport.abort()
            return False
        status, more, body = self.reply or self._take(first, message)
        more = {"content-length": str(len(body)), **more}
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return True

    def _take(self, first: str, message: Message) -> Reply:
        method, path, version = first.split(" ")
        subscription = self._subscriptions.get(path)
        if subscription is None:
            return 410, {}, b'{"errno": 106}'
        try:
            assert (method, version) == ("POST", "HTTP/1.1")
            check(message, origin=self.url, now=self._now())
        except Exception as error:  # whatever is wrong with it
            return 400, {"content-type": "text/plain"}, f"{type(error).__name__}: {error}".encode()
        if subscription.key not in (None, message.key):
            return 403, {}, b"subscribed with another key"
        self.messages.append(message)
        subscription.deliver(message)
        return 201, {"location": f"{self.url}/message/{uuid4()}"}, b""


def check(message: Message, *, origin: str, now: float) -> None:
    """Raise unless `message` is as RFC 8030, RFC 8188, RFC 8291 and RFC 8292 want it."""
    headers, body = message
    assert headers["host"] == origin.partition("://")[2], "Host"
    assert headers["content-encoding"] == "aes128gcm", "Content-Encoding"
    assert re.fullmatch("[0-9]+", headers["ttl"]), "TTL"
    assert int(headers["ttl"]) <= _FOUR_WEEKS, "TTL"
    assert headers.get("urgency", "normal") in _URGENCIES, "Urgency"
    assert re.fullmatch("[A-Za-z0-9_-]{1,32}", headers.get("topic", "x")), "Topic"
    assert len(body) <= 4096, "size"
    assert int.from_bytes(body[16:20], "big") >= len(body) - 86, "one record"
    token = message.token
    assert token.header == {"typ": "JWT", "alg": "ES256"}, "header of the token"
    assert token.claims["aud"] == origin, "aud"
    assert now < token.claims["exp"] <= now + 86_400, "exp"
    assert token.claims["sub"].startswith(("mailto:", "https://")), "sub"


class Subscriber:
    """A browser's part: a subscription of `service`, its secrets, and what was decrypted with them.

    `endpoint`: of a service elsewhere, which hands over nothing by itself.
    """

    def __init__(self, service: PushService, *, key: str | None = None, endpoint: str = "") -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._auth = uuid4().bytes
        self.endpoint = endpoint or service.subscribe(self._deliver, key=key)
        self.texts: list[bytes] = []

    @property
    def keys(self) -> dict[str, str]:
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"p256dh": base64url(point), "auth": base64url(self._auth)}

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    def read(self, body: bytes) -> dict[str, Any]:
        """The message of an encrypted body."""
        self.texts.append(decrypted(body, self._private, self._auth))
        return self.messages[-1]

    def _deliver(self, message: Message) -> None:
        self.read(message.body)


def decrypted(body: bytes, private_key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    text: bytes = http_ece.decrypt(body, private_key=private_key, auth_secret=auth, version="aes128gcm")
    return text


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
