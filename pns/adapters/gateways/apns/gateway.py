"""The gateway to APNs, Apple's push service, over its HTTP/2 API, with a provider token or a certificate.

Owns a line to each environment; the device chooses between them. The form of a push: message.py. The meaning
of the answers: answers.py. The life of connections: line.py.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping

import msgspec

from pns.adapters.gateways.apns import answers
from pns.adapters.gateways.apns.connection import Answer, NoAnswer
from pns.adapters.gateways.apns.credentials import BUNDLE_ID, check, tls_context
from pns.adapters.gateways.apns.line import HostLine
from pns.adapters.gateways.apns.message import MOST_BYTES, headers, payload
from pns.adapters.gateways.apns.token import ProviderToken
from pns.adapters.gateways.proof import Proof
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.model.device import Address, Device, Environment, Network, Registration
from pns.model.push import Push
from pns.runtime.clock import Clock
from pns.runtime.proxy import Proxy
from pns.settings import APNsSettings

_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
_NOBODY = "00"
"""A token of no device. APNs looks at the token last, after everything that an operator can set wrong."""
_TRIAL = b'{"aps":{"content-available":1}}'
_TRIAL_SECONDS = 10


class APNs:
    """See pns.contracts.gateway.Gateway. A device's address is its token in lower case; its `app` is the
    topic.
    """

    name = "apns"
    networks: frozenset[Network] = frozenset({"apns"})
    facts = NO_FACTS

    def __init__(self, settings: APNsSettings, *, clock: Clock, proxy: Proxy | None = None) -> None:
        self._proxy = proxy
        self.throughput = Throughput(settings.rate_per_second, settings.concurrency)
        self._settings = settings
        self._clock = clock
        self._token: ProviderToken | None = None
        self._lines: dict[Environment, HostLine] = {}
        self._proof = Proof()

    async def start(self) -> None:
        settings = self._settings
        check(settings)
        context = tls_context(settings)
        self._token = ProviderToken(settings, clock=self._clock) if settings.key_file else None
        self._lines = {
            "production": self._line(settings.url, context),
            "sandbox": self._line(settings.sandbox_url, context),
        }

    def _line(self, url: str, context: ssl.SSLContext) -> HostLine:
        streams = self._settings.concurrency
        return HostLine(url, context, streams=streams, clock=self._clock, proxy=self._proxy)

    async def stop(self) -> None:
        for line in self._lines.values():
            await line.close()

    def check(self, registration: Registration) -> None:
        if registration.token_kind != "token":
            raise wrong("/token_kind", 'must be "token" for APNs')
        if registration.token is None or not _TOKEN.fullmatch(registration.token):
            raise wrong("/token", "must be the device token of APNs, 64 or more hexadecimal digits")
        if registration.app and not BUNDLE_ID.fullmatch(registration.app):
            raise wrong("/app", "must be the app's bundle id: letters, digits, dots and hyphens")
        if not registration.app and not self._settings.topic and self._settings.key_file:
            raise wrong("/app", "must be the app's bundle id, because push.apns.topic is not set")

    def circuit(self, device: Device) -> str:
        return self._account(device)

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        return Address(str(registration.token).lower())

    async def unregister(self, device: Device) -> None:
        """APNs is told nothing: APNs learns of the end from the device itself."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Nothing to take back: APNs made nothing for PNS."""

    async def push(self, push: Push) -> Receipt:
        topic = self._topic(push.device)
        body = msgspec.json.encode(payload(push))
        if flaw := _flaw(push.device, topic, body):
            return Receipt(Outcome.FAILED, flaw)
        line = self._lines[push.device.environment]
        now = self._clock.now()
        try:
            answer = await self._ask(line, push.device.address, headers=headers(push, topic, now), body=body)
        except NoAnswer as error:
            return answers.no_answer(error)
        if answers.reason(answer) in answers.ENDING:
            await line.renew()
        account = self._account(push.device)
        receipt = answers.receipt(answer, push, now, proven=self._proof.has(account))
        of_a_device = answers.reason(answer) in answers.OF_A_DEVICE
        return self._proof.noted(account, receipt, of_a_device=of_a_device)

    async def trouble(self) -> str:
        url, topic = self._settings.url, self._settings.topic
        trial = {"apns-push-type": "background", "apns-priority": "5"}
        if topic:
            trial["apns-topic"] = topic
        try:
            async with asyncio.timeout(_TRIAL_SECONDS):
                answer = await self._ask(self._lines["production"], _NOBODY, headers=trial, body=_TRIAL)
        except (NoAnswer, TimeoutError) as error:
            return answers.out_of_reach(error, url)
        return answers.trouble(answer, with_topic=bool(topic))

    def _topic(self, device: Device) -> str:
        return device.app or self._settings.topic

    def _account(self, device: Device) -> str:
        """Devices choose their environment and may name an app: a wrong choice is not the trouble of all."""
        topic = self._topic(device)
        own = device.environment == "production" and topic == self._settings.topic
        return "" if own else f"{device.environment} {topic}"

    async def _ask(self, line: HostLine, token: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises NoAnswer. Asks once more where the provider token had expired and could be renewed."""
        path, provider = f"/3/device/{token}", self._token
        if provider is None:
            return await line.post(path, headers, body)
        bearer = provider.bearer()
        answer = await line.post(path, {**headers, "authorization": bearer}, body)
        if answers.reason(answer) == answers.EXPIRED_TOKEN and provider.renew(bearer):
            answer = await line.post(path, {**headers, "authorization": provider.bearer()}, body)
        if answers.reason(answer) == answers.TOO_MANY_TOKENS:
            provider.keep()
        return answer


def _flaw(device: Device, topic: str, body: bytes) -> str:
    """Why this can never be sent. The device may have been registered for another gateway, by its rules."""
    if len(body) > MOST_BYTES:
        return f"{len(body)} bytes, and APNs takes {MOST_BYTES}"
    if not _TOKEN.fullmatch(device.address):
        return "the device's address is not a token of APNs"
    if topic and not BUNDLE_ID.fullmatch(topic):
        return "the device's app is not a bundle id"
    return ""
