"""MQTT 5: PNS publishes to a broker, and each device reads a topic of its own there.

A device connects with `clean_start` false and QoS 1, so the broker keeps for it what comes meanwhile. An
acknowledgement says that the broker has it, never that the device has; a device that has no session at the
broker is known as such, and tried again later. No topic ever turns out dead. See docs/push.md.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

import msgspec
from paho.mqtt.reasoncodes import ReasonCode

from pns.adapters.gateways.http import trusted
from pns.adapters.gateways.mqtt import address as mqtt_address
from pns.adapters.gateways.mqtt.address import Place
from pns.adapters.gateways.mqtt.connection import Broker, BrokerAway, BrokerRefuses
from pns.adapters.gateways.mqtt.dynamic_security import DynamicSecurity, Operator, Provisioner
from pns.adapters.gateways.mqtt.line import Line
from pns.adapters.gateways.mqtt.strays import Strays
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import Unavailable
from pns.model.device import Address, Device, Network, Registration
from pns.model.push import MQTTControls, Push
from pns.runtime.clock import Clock
from pns.settings import MQTTSettings

log = logging.getLogger(__name__)

MOST_BYTES = 4096
TRIAL_SECONDS = 10
SESSION_SECONDS = 2_419_200
"""For how long a device should ask the broker to keep its session: as long as a push may wait."""

NO_SUBSCRIBERS = 0x10
"""No session reads this topic: the broker has thrown it away."""
NOT_AUTHORIZED = 0x87
_OUTCOMES = {
    0x00: Outcome.ACCEPTED,
    NO_SUBSCRIBERS: Outcome.RETRY,
    NOT_AUTHORIZED: Outcome.REFUSED,
    0x90: Outcome.FAILED,
    0x99: Outcome.FAILED,
}
"""Reason codes of PUBACK (MQTT 5 §3.4.2.1); the others are troubles of the broker."""


class _Started(NamedTuple):
    """What a started gateway works with."""

    line: Line
    provisioner: Provisioner
    device_place: Place
    strays: Strays | None
    """None where the logins are the operator's."""


class MQTT:
    """See pns.contracts.gateway.Gateway."""

    name = "mqtt"
    networks: frozenset[Network] = frozenset({"mqtt"})
    facts = NO_FACTS

    def __init__(self, settings: MQTTSettings, *, clock: Clock) -> None:
        self.throughput = Throughput(settings.rate_per_second, settings.concurrency)
        self._settings = settings
        self._clock = clock
        self._started: _Started | None = None

    async def start(self) -> None:
        """Who needs the broker first connects."""
        settings = self._settings
        mqtt_address.check_prefix(settings.topic_prefix)
        place = mqtt_address.parse(settings.url, "push.mqtt.url")
        device_place = mqtt_address.parse(settings.device_url or settings.url, "push.mqtt.device_url")
        context = trusted(settings.ca_file, "push.mqtt.ca_file") if place.tls else None
        line = Line(Broker(place.host, place.port, settings.username, settings.password, context))
        if settings.provisioning == "none":
            self._started = _Started(line, Operator(), device_place, None)
        else:
            plugin = DynamicSecurity(line)
            strays = Strays(line, plugin, prefix=settings.topic_prefix, clock=self._clock)
            self._started = _Started(line, plugin, device_place, strays)

    async def stop(self) -> None:
        if self._started is not None:
            await self._started.line.close()

    def check(self, registration: Registration) -> None:
        for field in ("token", "subscription"):
            if getattr(registration, field) is not None:
                raise wrong(f"/{field}", "must be left out: PNS gives an MQTT device its topic")
        if not mqtt_address.is_level(registration.app):
            raise wrong("/app", "must be printable, without `/`, `+` and `#`: it is a part of an MQTT topic")

    def circuit(self, device: Device) -> str:
        """An app's own: its name is a part of the topic, and PNS may be refused there alone."""
        return device.app

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        topic = f"{self._settings.topic_prefix}/{registration.app or 'app'}/{device_id}"
        try:
            login = await self._use.provisioner.grant(device_id, topic)
        except (BrokerAway, BrokerRefuses) as error:
            log.warning("an MQTT device could not be given a login: %s", error)
            raise Unavailable("The MQTT broker gives no login now. Try again later.") from None
        reply = self._use.device_place._asdict() | {
            "topic": topic,
            "client_id": device_id,
            "username": login.username,
            "clean_start": False,
            "session_expiry_seconds": SESSION_SECONDS,
        }
        if login.password is not None:
            reply["password"] = login.password
        return Address(topic, keys={"username": login.username}, reply=reply)

    async def unregister(self, device: Device) -> None:
        username = device.keys.get("username", "")
        try:
            await self._use.provisioner.revoke(username)
        except (BrokerAway, BrokerRefuses) as error:
            log.error(
                "the login of an MQTT device was not taken back (%s): "
                "mosquitto_ctrl … dynsec deleteClient %s does it",
                error,
                username,
            )

    async def tidy(self, is_registered: IsRegistered) -> None:
        if self._use.strays is None:
            return
        try:
            await self._use.strays.take_back(is_registered)
        except BrokerAway:
            """Then what it keeps is looked at when it is back."""
        except BrokerRefuses as error:
            log.warning("the logins of MQTT devices were not looked through: %s", error)

    async def push(self, push: Push) -> Receipt:
        payload = _payload(push)
        if len(payload) > MOST_BYTES:
            return Receipt(Outcome.FAILED, f"{len(payload)} bytes, more than {MOST_BYTES}")
        return await self._publish(push.device.address, payload, expires_in=self._seconds_left(push))

    async def trouble(self) -> str:
        """Also tries what `push` and `register` need, with a word for nobody."""
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                await self._use.provisioner.try_out()
                receipt = await self._publish(f"{self._settings.topic_prefix}/app/nobody", b"", expires_in=1)
        except (BrokerAway, BrokerRefuses) as error:
            return str(error)
        except TimeoutError:
            return "the broker does not answer"
        return "" if receipt.outcome in (Outcome.ACCEPTED, Outcome.RETRY) else receipt.reason

    async def _publish(self, topic: str, payload: bytes, *, expires_in: int) -> Receipt:
        try:
            connection = await self._use.line.connection()
            return self._receipt(await connection.publish(topic, payload, expires_in=expires_in))
        except BrokerAway as error:
            return Receipt(Outcome.UNAVAILABLE, str(error))
        except BrokerRefuses as error:
            return Receipt(Outcome.REFUSED, str(error))

    @property
    def _use(self) -> _Started:
        assert self._started is not None, "the gateway was not started"
        return self._started

    def _receipt(self, reason: ReasonCode) -> Receipt:
        outcome, said = _OUTCOMES.get(reason.value, Outcome.UNAVAILABLE), f"{reason.value} {reason}"
        if outcome is Outcome.ACCEPTED:
            return Receipt(outcome)
        if reason.value == NO_SUBSCRIBERS:
            said = f"the device has not subscribed yet ({said})"
        elif reason.value == NOT_AUTHORIZED:
            prefix = self._settings.topic_prefix
            grant = f"addRoleACL … publishClientSend {prefix}/# allow"
            said = f"may not publish to {prefix}/…: {grant} ({said})"
        return Receipt(outcome, said)

    def _seconds_left(self, push: Push) -> int:
        """At least 1: Mosquitto takes 0 for "never"."""
        wanted = _controls(push).ttl_seconds
        return max(1, push.seconds_left(self._clock.now(), wanted))


def _controls(push: Push) -> MQTTControls:
    return push.controls.mqtt or MQTTControls()


def _payload(push: Push) -> bytes:
    if push.dismissed:
        return msgspec.json.encode(push.dismissal())
    told: dict[str, object] = {"id": push.notification_id}
    told |= msgspec.to_builtins(push.payload)
    told["badge"] = push.badge
    for name in ("category", "collapse_key"):
        if getattr(push, name) is not None:
            told[name] = getattr(push, name)
    told["data"] = push.data(_controls(push).data)
    return msgspec.json.encode(told | push.control_fields())
