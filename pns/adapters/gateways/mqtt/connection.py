"""One connection to an MQTT 5 broker, from its opening to its loss; never used again.

paho-mqtt speaks MQTT, the event loop waits: only the lookup, TCP and TLS of opening run in a thread. PNS does
not use aiomqtt: aiomqtt drops the reason code of an acknowledgement, so that a publication refused by the
broker would count as taken. line.py reconnects; answers.py knows the meaning of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

KEEPALIVE_SECONDS = 20
"""A broker is away after twice as long a silence."""
CONNECT_SECONDS = 10
"""For TCP, for TLS and for CONNACK, each."""
TICK_SECONDS = 1

RECEIVE_MAXIMUM = 65_535
"""The publications that a broker takes at once if the broker names no number (MQTT 5 §3.2.2.3.3)."""

_LOGIN_REFUSED = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
"""Reason codes of CONNACK for an operator (MQTT 5 §3.2.2.2)."""


class Broker(NamedTuple):
    """The place of a broker, and the login there.

    `trusted`: the trusted certificates, None for a line without TLS. `client_id`: "" lets the broker choose.
    """

    host: str
    port: int
    username: str = ""
    password: str = ""
    trusted: ssl.SSLContext | None = None
    client_id: str = ""


class BrokerAway(Exception):
    """The broker does not answer, or not now. The text names no host and no login."""


class BrokerRefuses(Exception):
    """The broker refuses us, or we its certificate: an operator must act. The text names no login."""


class Connection:
    """Call `open` once, before anything else. Every method raises BrokerAway after the connection is lost."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._client = _make_client(broker)
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}
        self._places = asyncio.Semaphore(RECEIVE_MAXIMUM)
        self._hearers: dict[str, Callable[[bytes], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.lost = ""
        """The reason of the loss; empty while the connection works."""

    async def open(self) -> None:
        """Connect and log in. Raises BrokerAway or BrokerRefuses."""
        if (failure := await asyncio.to_thread(self._dial)) is not None:
            raise failure
        self._attach()
        with ExitStack() as undo:
            undo.callback(self.close)
            await self._logged_in()
            undo.pop_all()

    async def publish(self, topic: str, payload: bytes, *, expires_in: int | None = None) -> ReasonCode:
        """The reason code of the broker's PUBACK. At most as many messages are under way as the broker takes.

        `expires_in`: for how many seconds the broker keeps the message. A cancelled call gives its place back
        only with the PUBACK.
        """
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expires_in is not None:
            properties.MessageExpiryInterval = expires_in
        await self._places.acquire()
        if self.lost:
            self._places.release()  # to wake the next one who waits
            raise BrokerAway(self.lost)
        sent = self._client.publish(topic, payload, qos=1, properties=properties)
        return await self._answer(sent.mid)

    async def subscribe(self, topic: str, hear: Callable[[bytes], None]) -> None:
        """From now on call `hear` with each payload at `topic`. Raises BrokerRefuses."""
        if topic in self._hearers:
            return
        _, number = self._client.subscribe(topic, qos=1)
        if number is None:
            raise BrokerAway(self.lost)
        reason = await self._answer(number)
        if reason.is_failure:
            raise BrokerRefuses(f"the broker refuses to let PNS read {topic} ({reason})")
        self._hearers[topic] = hear

    def close(self) -> None:
        """Say goodbye if the socket takes it at once, and let go. Safe to call twice, and before `open`."""
        self._connack.cancel()
        self._lose("the connection was closed")
        self._client.disconnect()
        self._client.loop_write()
        line = self._client.socket()
        if line is not None:
            self._detach(line.fileno())
            line.close()

    def _dial(self) -> Exception | None:
        """The cause of a failure, in a thread. The error itself is not kept: the error holds the socket."""
        try:
            self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_SECONDS, clean_start=True)
        except ssl.SSLCertVerificationError:
            return BrokerRefuses("the broker's certificate is not trusted: see push.mqtt.ca_file")
        except (OSError, UnicodeError) as error:
            return BrokerAway(f"the broker is away ({type(error).__name__})")
        return None

    async def _logged_in(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connack
        except TimeoutError:
            raise BrokerAway("the broker does not answer") from None

    def _answer(self, number: int) -> asyncio.Future[ReasonCode]:
        self._answers[number] = self._loop.create_future()
        return self._answers[number]

    # ── paho's side: all of it runs in the event loop ─────────────────────────────────────────────────

    def _attach(self) -> None:
        """Let the event loop drive the socket of `connect`. Only now: a thread must not touch the loop."""
        client, line = self._client, self._client.socket()
        assert line is not None
        descriptor = line.fileno()
        client.on_connect = lambda _c, _d, _f, reason, found: self._connected(reason, found)
        client.on_disconnect = lambda _c, _d, _f, reason, _p: self._lose(f"the line was lost ({reason})")
        client.on_publish = lambda _c, _d, number, reason, _p: self._published(number, reason)
        client.on_subscribe = lambda _c, _d, number, reasons, _p: self._resolve(number, reasons[0])
        client.on_message = lambda _c, _d, message: self._arrived(message)
        client.on_socket_register_write = lambda *_: self._loop.add_writer(descriptor, client.loop_write)
        client.on_socket_unregister_write = lambda *_: self._written(descriptor)
        client.on_socket_close = lambda *_: self._detach(descriptor)
        self._loop.add_reader(descriptor, self._read)
        self._tick()

    def _detach(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)

    def _written(self, descriptor: int) -> None:
        self._loop.remove_writer(descriptor)

    def _read(self) -> None:
        self._client.loop_read()
        while isinstance(line := self._client.socket(), ssl.SSLSocket) and line.pending():
            self._client.loop_read()  # TLS has decrypted more than was asked for; no selector sees that

    def _tick(self) -> None:
        """Here paho sends PINGREQ, and notices a missing answer."""
        self._client.loop_misc()
        if not self.lost:
            self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def _connected(self, reason: ReasonCode, found: Properties | None) -> None:
        if self._connack.done():
            return
        if reason.is_failure:
            kind = BrokerRefuses if reason.value in _LOGIN_REFUSED else BrokerAway
            self._connack.set_exception(kind(f"the broker refuses the connection ({reason})"))
        else:
            self._places = asyncio.Semaphore(getattr(found, "ReceiveMaximum", RECEIVE_MAXIMUM))
            self._connack.set_result(None)

    def _published(self, number: int, reason: ReasonCode) -> None:
        self._places.release()
        self._resolve(number, reason)

    def _arrived(self, message: MQTTMessage) -> None:
        if (hear := self._hearers.get(message.topic)) is not None:
            hear(bytes(message.payload))

    def _resolve(self, number: int, reason: ReasonCode) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def _lose(self, why: str) -> None:
        if self.lost:
            return
        self.lost = why
        if self._timer is not None:
            self._timer.cancel()
        waiting: list[asyncio.Future[Any]] = [self._connack, *self._answers.values()]
        self._answers.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(BrokerAway(why))
        self._places.release()


def _make_client(broker: Broker) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2, broker.client_id, protocol=MQTTv5, reconnect_on_failure=False
    )
    client.connect_timeout = CONNECT_SECONDS
    client.max_inflight_messages_set(RECEIVE_MAXIMUM)  # `publish` counts itself
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if broker.trusted is not None:
        client.tls_set_context(broker.trusted)
    return client
