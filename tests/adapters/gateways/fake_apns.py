"""An APNs on loopback: HTTP/2 over TLS, as strict with a request as Apple's pages say, told what to answer.

It allows one stream until it has seen a good provider token, as Apple does, and takes no new token within 20
minutes of the last. Two clients that nobody here wrote are sent against it (test_fake_apns.py).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from joserfc.jwk import ECKey

from pns.runtime.clock import Clock, SystemClock
from pns.settings import APNsSettings
from tests.adapters.gateways.apns_rules import KEY_ID, TEAM_ID, TOPIC, Act, Reply, Rules, Sent
from tests.adapters.gateways.certificates import Authority, private_pem


class FakeAPNs:
    """Use as `async with`. `script` is used up first, one act a good request; then each gets `answer`."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        authority: Authority | None = None,
        client_certificates: ssl.VerifyMode = ssl.CERT_NONE,
    ) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        self.authority = authority or Authority(folder)
        self.key_file = folder / "key.p8"
        self.answer: Act = Reply()
        self.script: deque[Act] = deque()
        self.greeting: Literal["welcome", "goaway"] = "welcome"
        self.dead: dict[str, int] = {}
        """Device tokens that are not registered any more, since when, in milliseconds."""
        self.requests: list[Sent] = []
        self.accepted: list[Sent] = []
        self.connections: list[_Connection] = []
        self.hanging: list[Callable[[], None]] = []
        self.most_hanging = 0
        key = ec.generate_private_key(ec.SECP256R1())
        self.key_file.write_bytes(private_pem(key))
        self._rules = Rules(ECKey.import_key(private_pem(key)), self.clock)
        self._context = self.authority.server_context(client_certificates=client_certificates)
        self._context.set_alpn_protocols(["h2"])

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def settings(self, **changes: object) -> APNsSettings:
        """What an operator would write down to push by this APNs."""
        values = {
            "key_file": str(self.key_file),
            "key_id": KEY_ID,
            "team_id": TEAM_ID,
            "topic": TOPIC,
            "url": self.url,
            "sandbox_url": self.url,
            "ca_file": str(self.authority.ca_file),
            **changes,
        }
        return APNsSettings(**values)  # type: ignore[arg-type]

    def release(self) -> None:
        """Take what hangs so far."""
        hanging, self.hanging = self.hanging, []
        for take in hanging:
            take()

    def act(self, sent: Sent) -> tuple[Act, bool]:
        """What to do about a request, and whether its sender may use more streams from now on."""
        self.requests.append(sent)
        if flaw := self._rules.flaw_of_sender(sent):
            return flaw, False
        if flaw := self._rules.flaw(sent):
            return flaw, True
        if sent.token in self.dead:
            return Reply(410, "Unregistered", self.dead[sent.token]), True
        act = self.script.popleft() if self.script else self.answer
        return act, True

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", ssl=self._context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    def __init__(self, service: FakeAPNs) -> None:
        self._service = service
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._trusting = False
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._number = len(self._service.connections)
        self._service.connections.append(self)
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        self._flush()
        if self._service.greeting == "goaway":
            asyncio.get_running_loop().call_soon(self._say_goodbye)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except ProtocolError:
            self.transport.abort()
        self._flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._streams[event.stream_id] = ([(str(k), str(v)) for k, v in event.headers], bytearray())
        elif isinstance(event, DataReceived):
            self._streams[event.stream_id][1].extend(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answer(event.stream_id, self._sent(*self._streams.pop(event.stream_id)))

    def _sent(self, headers: list[tuple[str, str]], body: bytearray) -> Sent:
        found = dict(headers)
        return Sent(
            method=found[":method"],
            path=found[":path"],
            headers=found,
            repeated=len(found) < len(headers),
            body=bytes(body),
            connection=self._number,
            certificate=bool(self.transport.get_extra_info("peercert")),
        )

    def _answer(self, stream: int, sent: Sent) -> None:
        act, trusted = self._service.act(sent)
        if trusted and not self._trusting:
            self._trusting = True
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
        if isinstance(act, Reply):
            self._reply(stream, act, sent)
        elif act == "hang":
            self._service.hanging.append(lambda: self._reply(stream, Reply(), sent))
            self._service.most_hanging = max(self._service.most_hanging, len(self._service.hanging))
        elif act == "reset":
            self.transport.abort()
        elif act == "reset stream":
            self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        elif act == "goaway":
            self._say_goodbye()

    def _reply(self, stream: int, reply: Reply, sent: Sent) -> None:
        apns_id = sent.headers.get("apns-id", str(uuid4()))
        headers = [(":status", str(reply.status)), ("apns-id", apns_id), *reply.headers]
        body = reply.body
        self._h2.send_headers(stream, headers, end_stream=not body)
        for begin in range(0, len(body), 16_384):
            chunk = body[begin : begin + 16_384]
            self._h2.send_data(stream, chunk, end_stream=begin + len(chunk) == len(body))
        if reply.status == 200:
            self._service.accepted.append(sent)
        self._flush()

    def _say_goodbye(self) -> None:
        """As APNs does when it has had enough: what is under way is not answered any more."""
        self._h2.close_connection(last_stream_id=0)
        self._flush()
        self.transport.close()

    def _flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._h2.data_to_send())
