"""An Azure notification hub on loopback, as far as direct sends go; it checks who asks, and for what.

Azure has no emulator. What this takes is what the official SDK sends (test_azure_sdk.py); how it refuses is
what Microsoft's documentation says.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, quote, urlsplit

from pns.testing import FakeClock
from tests.harness.certificate import self_signed

HUB = "shop"
POLICY = "PushPolicy"
KEY = "c2VjcmV0LWtleS1vZi10aGUtaHViLTAxMjM0NTY3ODk="
_FORMATS = {"fcmv1", "apple", "browser", "windows", "adm", "baidu", "xiaomi"}


class Request(NamedTuple):
    """Names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


Says = Reply | Literal["take", "hang", "reset"]
"""`take`: what Azure says to a good request. `hang`: nothing. `reset`: the line is cut."""


def error(status: int, detail: str) -> Reply:
    """Azure's form of an error."""
    said = f"{detail}..TrackingId:0b1c_G2,TimeStamp:1/1/2027 0:00:00 AM"
    text = f"<Error><Code>{status}</Code><Detail>{said}</Detail></Error>"
    return Reply(status, {"content-type": "application/xml; charset=utf-8"}, text.encode())


class FakeHub:
    """Use as `async with`. `says` answers whatever comes; `claims` is what the policy may do."""

    def __init__(self, folder: Path, clock: FakeClock | None) -> None:
        """Without a clock, the end of a signature is not looked at."""
        self.says: Says = "take"
        self.claims = {"Manage", "Send"}
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self._clock = clock
        self._context, self.ca_file = self_signed(folder, "localhost")
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"localhost:{self._server.sockets[0].getsockname()[1]}"

    @property
    def connection_string(self) -> str:
        return f"Endpoint=sb://{self.endpoint}/;SharedAccessKeyName={POLICY};SharedAccessKey={KEY}"

    async def __aenter__(self) -> Self:
        context: ssl.SSLContext = self._context
        self._server = await asyncio.start_server(self._serve, "localhost", 0, ssl=context, limit=2**20)
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
        line = asyncio.current_task()
        assert line is not None
        self._lines[line] = writer
        try:
            while True:
                await self._exchange(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()
        finally:
            del self._lines[line]

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        if self.says == "hang":
            await reader.read()
        if isinstance(self.says, str) and self.says != "take":
            raise ConnectionResetError
        reply = self._take(request) if self.says == "take" else self.says
        more = {"content-length": str(len(reply.body)), **reply.headers}
        answer = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in more.items()), "", ""]
        writer.write("\r\n".join(answer).encode() + reply.body)

    def _take(self, request: Request) -> Reply:
        parts = urlsplit(request.path)
        refusal = self._refusal(request.headers, "Send" if request.method == "POST" else "Manage")
        if refusal is not None:
            return refusal
        if parts.path.strip("/").split("/")[0] != HUB:
            return error(404, "No service is hosted at the specified address")
        if request.method == "GET":
            return Reply(200, {}, b"<NotificationHubDescription/>")
        return self._send(request, parse_qs(parts.query))

    def _send(self, request: Request, query: dict[str, list[str]]) -> Reply:
        headers = request.headers
        if headers.get("servicebusnotification-format") not in _FORMATS:
            return error(400, "The notification format is not known")
        if query != {"api-version": ["2020-06"], "direct": ["true"]}:
            return error(400, "The api-version or the way of sending is not known")
        if not headers.get("servicebusnotification-devicehandle"):
            return error(400, "The device handle is missing")
        self.taken.append(request)
        place = f"https://{self.endpoint}/{HUB}/messages/n-{len(self.taken)}?api-version=2020-06"
        return Reply(201, {"location": place, "trackingid": "0b1c-77"})

    def _refusal(self, headers: dict[str, str], claim: str) -> Reply | None:
        scheme, _, fields = headers.get("authorization", "").partition(" ")
        found = dict(field.partition("=")[::2] for field in fields.split("&"))
        resource = quote(f"https://{self.endpoint}/", safe="")
        text = f"{resource}\n{found.get('se')}".encode()
        signature = quote(b64encode(hmac.digest(KEY.encode(), text, "sha256")), safe="")
        wanted = {"sr": resource, "sig": signature, "skn": POLICY}
        if scheme != "SharedAccessSignature" or found | wanted != found:
            return error(401, "InvalidSignature: The token has an invalid signature.")
        if self._clock is not None and int(found["se"]) <= self._clock.now() // 1_000_000:
            return error(401, "ExpiredToken: The token is expired.")
        return None if claim in self.claims else error(401, f"{claim} claim is required for this operation.")
