"""An HTTP question to another server, and its answer: bytes out, bytes in. The body counts for 200 alone.

The question has exactly the given headers and `host`. This module works on the library's transport, below its
client. So nobody can forget to turn off a cookie jar, a proxy or netrc from the environment, a redirect,
decompression or a default header. Only the issuer of access tokens is asked by way of `outbound.proxy`. The
caller sets the deadline, by `asyncio.timeout`: a peer that drips bytes outlives any timeout of a single read.
"""

from __future__ import annotations

from collections.abc import Iterable

import httpx2 as httpx

from pns.adapters.authorities.answer import Answer, Doubt, Header
from pns.runtime.http1.dial import system_trust
from pns.runtime.proxy import Proxy, told

_KEEP_ALIVE_SECONDS = 1.5
"""Below what common servers allow (2 to 5 s), so that a question seldom meets a connection being closed."""

_NO_TIMEOUTS = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}


class Outbound:
    """Connections to other servers, kept alive between questions. You must call `close` at the end."""

    def __init__(self, *, connections: int, body_limit: int, proxy: Proxy | None = None) -> None:
        """At most `connections` stay open without work; a 200 over `body_limit` bytes is a Doubt.

        The caller bounds how many questions run at once. A bound in the pool would be another queue, which a
        cancelled question can leave broken.
        """
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        )
        self._transport = httpx.AsyncHTTPTransport(
            verify=system_trust(), trust_env=False, limits=limits, proxy=proxy.for_client if proxy else None
        )
        self._body_limit = body_limit

    async def ask(self, method: str, url: httpx.URL, *, headers: Iterable[Header]) -> Answer:
        """The final answer of `url`, whatever its status. Raises Doubt if no answer came.

        The body of any status but 200 is not read, and its connection is not used again.
        """
        request = httpx.Request(
            method,
            url,
            headers=[(b"host", url.netloc), *headers],
            stream=httpx.ByteStream(b""),
            extensions=_NO_TIMEOUTS,
        )
        _refuse_line_breaks(request.headers.raw)
        try:
            response = await self._transport.handle_async_request(request)
            try:
                said = await self._read(response) if response.status_code == 200 else b""
                return Answer(response.status_code, said)
            finally:
                await response.stream.aclose()  # type: ignore[union-attr]  # an async transport's stream
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Doubt(_reason(error)) from error

    async def close(self) -> None:
        await self._transport.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise Doubt("the answer has a Content-Encoding, though none was accepted")
        body = bytearray()
        async for chunk in response.stream:  # type: ignore[union-attr]
            body += chunk
            if len(body) > self._body_limit:
                raise Doubt(f"the answer has more than {self._body_limit} bytes")
        return bytes(body)


def _refuse_line_breaks(headers: Iterable[Header]) -> None:
    """HTTP/1.1 frames by lines; some ASGI servers let CR, LF and NUL through in a header."""
    for name, value in headers:
        if any(byte in name or byte in value for byte in (b"\r", b"\n", b"\0")):
            raise Doubt("a header of the device holds CR, LF or NUL")


def _reason(error: Exception) -> str:
    # The text of a protocol error quotes the header that it is about; that of a connect error never does.
    if isinstance(error, httpx.ConnectError | OSError) and str(error):
        return f"{type(error).__name__}: {error}"
    return told(error)
