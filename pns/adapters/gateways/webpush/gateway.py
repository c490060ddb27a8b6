"""Web Push: to browsers, and to apps by UnifiedPush, over the same wire (RFC 8030, RFC 8291, RFC 8292).

Each device brings its own push service, by its endpoint; so each service has its own circuit. Keys are
required, nothing goes out as plain text.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pns.adapters.gateways import p256
from pns.adapters.gateways.endpoint import NOT_PUBLIC, Endpoint, ForbiddenEndpoint, Reach
from pns.adapters.gateways.http import trusted
from pns.adapters.gateways.webpush import message as webpush_message
from pns.adapters.gateways.webpush import vapid
from pns.adapters.gateways.webpush.answers import receipt
from pns.adapters.gateways.webpush.public_line import Answer, NoAnswer, PublicLine, UnknownHost, Unreachable
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import SettingsError, Unavailable
from pns.model.device import Address, Device, Network, Registration, Subscription
from pns.model.push import Push
from pns.runtime.clock import Clock
from pns.runtime.one_line import printable
from pns.runtime.quiet_log import QuietLog
from pns.settings import WebPushSettings
from pns.settings.rules import Constraint

log = logging.getLogger(__name__)

APPLE = ".push.apple.com"
"""Where Safari is reached."""
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
        self, settings: WebPushSettings, *, clock: Clock, private_key: Callable[[], Awaitable[str]]
    ) -> None:
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
        line = PublicLine(self._reach, trust=trust, connections=self._settings.concurrency, clock=self._clock)
        self._started = _Started(signer, line)
        self.facts = MappingProxyType({"application_server_key": signer.public_key})

    async def stop(self) -> None:
        if self._started is not None:
            await self._started.line.close()

    def check(self, registration: Registration) -> None:
        subscription = _subscription(registration)
        try:
            self._reach.check(Endpoint.parse(subscription.endpoint))
        except ForbiddenEndpoint as error:
            raise wrong("/subscription/endpoint", str(error)) from None
        _check_keys(subscription)
        self._expires_at(subscription)

    def circuit(self, device: Device) -> str:
        """The push service: the trouble of a service never stops another."""
        try:
            return str(Endpoint.parse(device.address).origin)
        except ForbiddenEndpoint:
            return "forbidden"

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        subscription = _subscription(registration)
        await self._look_up(Endpoint.parse(subscription.endpoint))
        return Address(
            address=subscription.endpoint,
            keys={"p256dh": subscription.keys.p256dh, "auth": subscription.keys.auth},
            expires_at=self._expires_at(subscription),
        )

    async def unregister(self, device: Device) -> None:
        """Nothing to take back: only the browser can end a subscription."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Nothing to take back: push services made nothing for PNS."""

    async def push(self, push: Push) -> Receipt:
        try:
            endpoint = Endpoint.parse(push.device.address)
            if push.dismissed and endpoint.host.endswith(APPLE):
                return Receipt(Outcome.FAILED, "Safari ends a subscription for pushes that show nothing")
            answer = await self._send(push, endpoint)
        except webpush_message.Unsendable as error:
            return Receipt(Outcome.FAILED, str(error))
        except ForbiddenEndpoint as error:
            return Receipt(Outcome.FAILED, f"the endpoint {error}")
        except Unreachable as error:
            return Receipt(Outcome.UNAVAILABLE, f"not reached ({error})")
        except NoAnswer as error:
            return Receipt(Outcome.RETRY, f"no answer ({error})")
        return self._learned(endpoint, receipt(answer, endpoint=push.device.address, now=self._clock.now()))

    async def trouble(self) -> str:
        """No service to ask. A started gateway has a key and a subject that can be sent."""
        return "" if self._started else "Web Push was not started, so it has no key to sign with."

    async def _send(self, push: Push, endpoint: Endpoint) -> Answer:
        signer, line = self._running()
        body = webpush_message.encrypted(webpush_message.text(push), push.device.keys)
        headers = webpush_message.headers(push, self._clock.now())
        signed = {"Authorization": signer.authorization(endpoint.origin), **headers}
        return await line.post(endpoint, headers=signed, body=body)

    def _learned(self, endpoint: Endpoint, found: Receipt) -> Receipt:
        """A service that took our token and refuses the token later means one device. The device subscribed
        with another key than ours, by mistake or to hold up all others there.
        """
        signer, _ = self._running()
        if found.outcome is Outcome.ACCEPTED:
            signer.was_taken(endpoint.origin)
        elif found.outcome is Outcome.REFUSED and signer.is_good(endpoint.origin):
            return found._replace(outcome=Outcome.RETRY)
        return found

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


def _subscription(registration: Registration) -> Subscription:
    if registration.network != "webpush":
        raise wrong("/network", 'must be "webpush"')
    if registration.token is not None:
        raise wrong("/token", "must be left out: Web Push has a subscription in its place")
    if registration.subscription is None:
        raise wrong("/subscription", "must be what the browser's `pushManager.subscribe()` returned")
    return registration.subscription


def _check_keys(subscription: Subscription) -> None:
    try:
        p256.public_key(subscription.keys.p256dh)
    except ValueError:
        allowed = "must be a public key of P-256, uncompressed, 65 bytes in base64url"
        raise wrong("/subscription/keys/p256dh", allowed) from None
    try:
        p256.decode(subscription.keys.auth, webpush_message.AUTH_BYTES)
    except ValueError:
        raise wrong("/subscription/keys/auth", "must be 16 bytes in base64url") from None
