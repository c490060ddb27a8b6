"""MQTT 5: PNS publishes to a broker, and each device reads its own topic there.

A device connects with `clean_start` false and QoS 1, so the broker keeps messages for an absent device. An
acknowledgement says that the broker has the message, never that the device has. A push to a device without a
session at the broker is tried again later. No topic ever turns out dead. See docs/push.md. The form of a
push: message.py. The meaning of the answers: answers.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from pns.adapters.gateways.http import trusted
from pns.adapters.gateways.mqtt import address as mqtt_address
from pns.adapters.gateways.mqtt import answers as mqtt_answer
from pns.adapters.gateways.mqtt import message as mqtt_message
from pns.adapters.gateways.mqtt.address import Place
from pns.adapters.gateways.mqtt.connection import Broker, BrokerAway, BrokerRefuses
from pns.adapters.gateways.mqtt.dynamic_security import DynamicSecurity, Operator, Provisioner
from pns.adapters.gateways.mqtt.line import BrokerLine
from pns.adapters.gateways.mqtt.orphans import OrphanedLogins
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import Unavailable
from pns.model.device import Address, Device, Network, Registration
from pns.model.push import Push
from pns.runtime.clock import Clock
from pns.settings import MQTTSettings

log = logging.getLogger(__name__)

TRIAL_SECONDS = 10
SESSION_SECONDS = 2_419_200
"""For how long a device should ask the broker to keep its session: as long as a push may wait."""


class _Started(NamedTuple):
    """The parts of a started gateway."""

    line: BrokerLine
    provisioner: Provisioner
    device_place: Place
    orphans: OrphanedLogins | None
    """None where the operator makes the logins."""


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
        """Checks the settings. The first call that needs the broker connects."""
        settings = self._settings
        mqtt_address.check_prefix(settings.topic_prefix)
        place = mqtt_address.parse(settings.url, "push.mqtt.url")
        device_place = mqtt_address.parse(settings.device_url or settings.url, "push.mqtt.device_url")
        context = trusted(settings.ca_file, "push.mqtt.ca_file") if place.tls else None
        line = BrokerLine(Broker(place.host, place.port, settings.username, settings.password, context))
        if settings.provisioning == "none":
            self._started = _Started(line, Operator(), device_place, None)
        else:
            plugin = DynamicSecurity(line)
            orphans = OrphanedLogins(line, plugin, prefix=settings.topic_prefix, clock=self._clock)
            self._started = _Started(line, plugin, device_place, orphans)

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
        """The app's own: the app's name is a part of the topic, and the broker may refuse this app alone."""
        return device.app

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        topic = f"{self._settings.topic_prefix}/{registration.app or 'app'}/{device_id}"
        try:
            login = await self._running().provisioner.grant(device_id, topic)
        except (BrokerAway, BrokerRefuses) as error:
            log.warning("an MQTT device could not be given a login: %s", error)
            raise Unavailable("The MQTT broker gives no login now. Try again later.") from None
        reply = self._running().device_place._asdict() | {
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
            await self._running().provisioner.revoke(username)
        except (BrokerAway, BrokerRefuses) as error:
            log.error(
                "the login of an MQTT device was not taken back (%s): "
                "mosquitto_ctrl … dynsec deleteClient %s does it",
                error,
                username,
            )

    async def tidy(self, is_registered: IsRegistered) -> None:
        orphans = self._running().orphans
        if orphans is None:
            return
        try:
            await orphans.take_back(is_registered)
        except BrokerAway:
            pass  # the next call compares again: a new connection is due at once
        except BrokerRefuses as error:
            log.warning("the logins of MQTT devices were not looked through: %s", error)

    async def push(self, push: Push) -> Receipt:
        payload = mqtt_message.payload(push)
        if len(payload) > mqtt_message.MOST_BYTES:
            return Receipt(Outcome.FAILED, f"{len(payload)} bytes, more than {mqtt_message.MOST_BYTES}")
        expires_in = mqtt_message.seconds_left(push, self._clock.now())
        return await self._publish(push.device.address, payload, expires_in=expires_in)

    async def trouble(self) -> str:
        """Also tries the rights that `push` and `register` need, with a message for nobody."""
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                await self._running().provisioner.try_out()
                receipt = await self._publish(f"{self._settings.topic_prefix}/app/nobody", b"", expires_in=1)
        except (BrokerAway, BrokerRefuses) as error:
            return str(error)
        except TimeoutError:
            return "the broker does not answer"
        return "" if receipt.outcome in (Outcome.ACCEPTED, Outcome.RETRY) else receipt.reason

    async def _publish(self, topic: str, payload: bytes, *, expires_in: int) -> Receipt:
        try:
            connection = await self._running().line.connection()
            reason = await connection.publish(topic, payload, expires_in=expires_in)
        except BrokerAway as error:
            return Receipt(Outcome.UNAVAILABLE, str(error))
        except BrokerRefuses as error:
            return Receipt(Outcome.REFUSED, str(error))
        return mqtt_answer.receipt(reason, self._settings.topic_prefix)

    def _running(self) -> _Started:
        assert self._started is not None, "the gateway was not started"
        return self._started
