"""One HTTP/2 connection to a host of APNs, from its TLS on.

The connection is the library's, taken from below the library's pool and client. The pool jams on the rest of
a lost connection. The client would log each URL, and with the URL the device's token. line.py replaces lost
connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import NamedTuple

import httpcore2 as httpcore
import httpx2 as httpx
from h2.exceptions import H2Error

from pns.runtime.clock import Clock

LOSSES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable, H2Error, OSError)
"""The errors of a lost connection. Errors of h2 and of TLS come as they are during an answer."""

_MOST_BODY = 65_536


class NoAnswer(Exception):
    """Every connection was lost. The message names the error, and holds nothing of the request."""


class NoConnection(NoAnswer):
    """The host cannot be reached, or ends each connection at once."""


class NoTLS(NoConnection):
    """The host answers, but the host and PNS do not agree on TLS: a certificate is wrong."""


class NoHTTP2(NoConnection):
    """The host answers, and speaks no HTTP/2."""


class Answer(NamedTuple):
    """`body`: its first 64 KiB."""

    status: int
    headers: httpx.Headers
    body: bytes


class Question:
    """A POST on its way. `went`: whether the request went out on the last connection that was asked."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str], content: bytes) -> None:
        self.went = False
        self._url = url
        own = {"host": url.netloc.decode(), "content-length": str(len(content))}
        self._headers = [*own.items(), *headers.items()]
        self._content = content

    def request(self) -> httpcore.Request:
        """The request, for one connection."""
        self.went = False
        port, target = self._url.port or 443, self._url.raw_path
        url = httpcore.URL(scheme=b"https", host=self._url.raw_host, port=port, target=target)
        return httpcore.Request(
            "POST", url, headers=self._headers, content=self._content, extensions={"trace": self._trace}
        )

    async def _trace(self, event: str, info: object) -> None:
        self.went = self.went or event == "http2.send_request_headers.complete"


class Connection:
    """A retired connection takes no new request, and closes after its last request."""

    def __init__(self, http2: httpcore.AsyncHTTP2Connection, clock: Clock) -> None:
        self._http2 = http2
        self._clock = clock
        self._requests = 0
        self._idle_since = clock.monotonic()
        self.answers = 0
        self.retired = False

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has been under way."""
        return 0.0 if self._requests else self._clock.monotonic() - self._idle_since

    async def ask(self, question: Question) -> Answer:
        """Raises an error of LOSSES. Then the connection is closed, and every request under way is lost."""
        self._requests += 1
        try:
            response = await self._http2.handle_async_request(question.request())
            answer = Answer(response.status, httpx.Headers(response.headers), await _body(response))
            self.answers += 1
            return answer
        except LOSSES:
            await self.close()
            raise
        except asyncio.CancelledError:
            # A request that hung may hang with its connection, and half of it may have been written.
            self.retired = True
            raise
        finally:
            self._requests -= 1
            self._idle_since = self._clock.monotonic()
            if self.retired:
                await self.retire()

    async def retire(self) -> None:
        self.retired = True
        if not self._requests:
            await self.close()

    async def close(self) -> None:
        self.retired = True
        with suppress(*LOSSES):
            await self._http2.aclose()


async def connect(url: httpx.URL, context: ssl.SSLContext, clock: Clock) -> Connection:
    """Raises NoConnection, or one of its kinds."""
    host, port = url.raw_host.decode(), url.port or 443
    try:
        tcp = await httpcore.AnyIOBackend().connect_tcp(host, port)
        stream = await _with_tls(tcp, context, host)
    except httpcore.ConnectError as error:
        tls = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else None
        raise (NoTLS if tls else NoConnection)(named(tls or error)) from None
    origin = httpcore.Origin(b"https", host.encode(), port)
    return Connection(httpcore.AsyncHTTP2Connection(origin, stream), clock)


async def _with_tls(
    tcp: httpcore.AsyncNetworkStream, context: ssl.SSLContext, host: str
) -> httpcore.AsyncNetworkStream:
    """Closes `tcp` if TLS fails."""
    try:
        stream = await tcp.start_tls(context, host)
        if stream.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise NoHTTP2("no HTTP/2")
        return stream
    except BaseException:
        await tcp.aclose()
        raise


async def _body(response: httpcore.Response) -> bytes:
    """Reads to the end, which the other streams of the connection need, and keeps the beginning."""
    body = bytearray()
    try:
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                body += chunk[: _MOST_BODY - len(body)]
    finally:
        await response.aclose()
    return bytes(body)


def named(error: Exception) -> str:
    """The kind of the error: the text of the error may quote the request."""
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    return reason or type(error).__name__
