"""Web Push: to browsers, and to apps by UnifiedPush, over the same wire (RFC 8030, RFC 8291, RFC 8292).

Each device brings its own push service, by its endpoint; so each service has its own circuit. Keys are
required, nothing goes out as plain text.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pns.adapters.gateways.endpoint import NOT_PUBLIC, Endpoint, ForbiddenEndpoint, Reach
from pns.adapters.gateways.http import trusted
from pns.adapters.gateways.webpush import message as webpush_message
from pns.adapters.gateways.webpush import subscription as subscriptions
from pns.adapters.gateways.webpush import vapid
from pns.adapters.gateways.webpush.answers import names_another_key, receipt
from pns.adapters.gateways.webpush.public_line import PublicLine, UnknownHost
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import SettingsError, Unavailable
from pns.model.device import Address, Device, Network, Registration, Subscription, is_subscribed_with
from pns.model.push import Push
from pns.runtime.clock import Clock
from pns.runtime.http1 import Answer, NoAnswer, Unreachable
from pns.runtime.one_line import printable
from pns.runtime.proxy import Proxy
from pns.runtime.quiet_log import QuietLog
from pns.settings import WebPushSettings
from pns.settings.rules import Constraint

log = logging.getLogger(__name__)

_MOST_EXPIRATION = 253_402_300_799_000
"""Milliseconds since 1970: the end of the year 9999."""


class _Started(NamedTuple):
    """The parts of a started gateway."""

    signer: vapid.Vapid
    line: PublicLine


class WebPush:
    """See pns.contracts.gateway.Gateway. `start` asks `private_key` for the VAPID key, 32 bytes in
    base64url.
    """

    name = "webpush"
    networks: frozenset[Network] = frozenset({"webpush"})

    def __init__(
        self,
        settings: WebPushSettings,
        *,
        clock: Clock,
        private_key: Callable[[], Awaitable[str]],
        proxy: Proxy | None = None,
    ) -> None:
        self._proxy = proxy
        self.facts: Mapping[str, str] = NO_FACTS
        self.throughput = Throughput(settings.rate_per_second, settings.concurrency)
        self._settings = settings
        self._clock = clock
        self._private_key = private_key
        self._reach = Reach(settings.allowed_networks)
        self._started: _Started | None = None
        self._log = QuietLog(logging.LoggerAdapter(log, {"gateway": self.name}), clock=clock)

    async def start(self) -> None:
        subject = _checked("subject", vapid.check_subject, self._settings.subject)
        trust = trusted(self._settings.ca_file, "push.webpush.ca_file")
        key = _checked("private_key", vapid.check_private_key, await self._private_key())
        signer = vapid.Vapid(key, subject=subject, clock=self._clock)
        line = PublicLine(
            self._reach,
            trust=trust,
            connections=self._settings.concurrency,
            clock=self._clock,
            proxy=self._proxy,
        )
        self._started = _Started(signer, line)
        self.facts = MappingProxyType({"application_server_key": signer.public_key})

    async def stop(self) -> None:
        if self._started is not None:
            await self._started.line.close()

    def check(self, registration: Registration) -> None:
        subscription = subscriptions.subscription(registration)
        try:
            self._reach.check(Endpoint.parse(subscription.endpoint))
        except ForbiddenEndpoint as error:
            raise wrong("/subscription/endpoint", str(error)) from None
        subscriptions.check(registration)
        self._expires_at(subscription)

    def circuit(self, device: Device) -> str:
        """The push service: the trouble of a service never stops another."""
        try:
            return str(Endpoint.parse(device.address).origin)
        except ForbiddenEndpoint:
            return "forbidden"

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        subscription = subscriptions.subscription(registration)
        await self._look_up(Endpoint.parse(subscription.endpoint))
        keys, ours = subscriptions.kept(registration), self._running().signer.public_key
        return Address(
            address=subscription.endpoint,
            keys=keys,
            expires_at=self._expires_at(subscription),
            reply={} if is_subscribed_with(ours, keys) else {"application_server_key": ours},
        )

    async def unregister(self, device: Device) -> None:
        """Nothing to take back: only the browser can end a subscription."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Nothing to take back: push services made nothing for PNS."""

    async def push(self, push: Push) -> Receipt:
        try:
            endpoint = Endpoint.parse(push.device.address)
            if flaw := self._flaw(push, endpoint):
                return Receipt(Outcome.FAILED, flaw)
            answer = await self._send(push, endpoint)
        except webpush_message.Unsendable as error:
            return Receipt(Outcome.FAILED, str(error))
        except ForbiddenEndpoint as error:
            return Receipt(Outcome.FAILED, f"the endpoint {error}")
        except Unreachable as error:
            return Receipt(Outcome.UNAVAILABLE, f"not reached ({error})")
        except NoAnswer as error:
            return Receipt(Outcome.RETRY, f"no answer ({error})")
        return self._learned(push.device, endpoint, answer)

    async def trouble(self) -> str:
        """No service to ask. A started gateway has a key and a subject that can be sent."""
        return "" if self._started else "Web Push was not started, so it has no key to sign with."

    def _flaw(self, push: Push, endpoint: Endpoint) -> str:
        """Why nobody is asked to take this push."""
        if not is_subscribed_with(self._running().signer.public_key, push.device.keys):
            return subscriptions.OTHER_KEY
        if push.dismissed and not subscriptions.bears_silence(push.device, endpoint.host):
            return subscriptions.SILENT
        return ""

    async def _send(self, push: Push, endpoint: Endpoint) -> Answer:
        signer, line = self._running()
        body = webpush_message.encrypted(webpush_message.text(push), push.device.keys)
        headers = webpush_message.headers(push, self._clock.now())
        signed = {"Authorization": signer.authorization(endpoint.origin), **headers}
        return await line.post(endpoint, headers=signed, body=body)

    def _learned(self, device: Device, endpoint: Endpoint, answer: Answer) -> Receipt:
        """The receipt, and what it says of our key.

        A service that took our token and refuses the token later means one device, subscribed with another
        key than ours: after a change of our key, by mistake, or to hold up all others there. A service that
        has not taken the token yet may mean all devices, or this one. So nobody waits for a refused device.
        """
        signer, _ = self._running()
        found = receipt(answer, endpoint=device.address, now=self._clock.now())
        if found.outcome is Outcome.ACCEPTED:
            signer.was_taken(endpoint.origin)
        good, refused = signer.is_good(endpoint.origin), found.outcome is Outcome.REFUSED
        unknown = "server_key" not in device.keys
        if names_another_key(answer) or (good and unknown and answer.status == 403):
            marked = subscriptions.refused(device.keys, signer.public_key)
            return found._replace(outcome=Outcome.RETRY, keys=marked)
        if refused and good:
            return found._replace(outcome=Outcome.RETRY)
        return found._replace(of_device=refused)

    async def _look_up(self, endpoint: Endpoint) -> None:
        try:
            scheme = endpoint.origin.scheme
            await self._running().line.look_up(endpoint.host, endpoint.port, scheme=scheme, new=True)
        except ForbiddenEndpoint:
            raise self._refused(endpoint, "may not be written to") from None
        except UnknownHost:
            raise self._refused(endpoint, "does not exist") from None
        except NoAnswer as error:
            self._log.write("put off", f"a registration is put off: {error}")
            raise Unavailable("The endpoint's host cannot be looked up now. Try again later.") from None

    def _refused(self, endpoint: Endpoint, why: str) -> ValueError:
        """The same to the client whatever the name server said; the log says `why`."""
        at = f"{endpoint.origin.scheme}, port {endpoint.port} of {printable(endpoint.host, 200)}"
        self._log.write("refused", f"a registration is refused: {at}, {why}", level=logging.INFO)
        return wrong("/subscription/endpoint", NOT_PUBLIC)

    def _running(self) -> _Started:
        assert self._started is not None, "a gateway is used once it was started"
        return self._started

    def _expires_at(self, subscription: Subscription) -> int | None:
        milliseconds = subscription.expiration_time
        if milliseconds is None:
            return None
        if not self._clock.now() / 1000 < milliseconds <= _MOST_EXPIRATION:
            allowed = "must be null or a time to come, in milliseconds since 1970"
            raise wrong("/subscription/expirationTime", allowed)
        return int(milliseconds * 1000)


def _checked(key: str, constraint: Constraint, text: str) -> str:
    try:
        return constraint(text)
    except ValueError as error:
        raise SettingsError(f"push.webpush.{key} {error}") from None
