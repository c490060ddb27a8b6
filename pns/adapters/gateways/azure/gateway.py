"""Azure Notification Hubs between PNS and FCM or APNs: the hub takes pushes in place of the network.

PNS gives the hub the device's own token with each push (direct send), and the hub keeps no devices of ours.
An accepted push says nothing of the device, and the hub never reports a dead token: dead devices stay until
they are uninstalled or forgotten. The hub's own setting chooses between APNs and its sandbox. The form of a
push: message.py. The meaning of the answers: answers.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from pns.adapters.gateways.apns.credentials import BUNDLE_ID
from pns.adapters.gateways.azure import answers as azure_answer
from pns.adapters.gateways.azure import message as azure_message
from pns.adapters.gateways.azure.signature import Signatures, parse
from pns.adapters.gateways.http import Client, lost, trusted
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import SettingsError
from pns.model.device import Address, Device, Network, Registration
from pns.model.push import Push
from pns.runtime import http1
from pns.runtime.clock import Clock
from pns.runtime.http1 import NoAnswer, Place
from pns.runtime.proxy import Proxy
from pns.settings import AzureSettings

API_VERSION = "2020-06"
TRIAL_SECONDS = 10
CONTENT_TYPE = "application/json;charset=utf-8"

_TOKENS = {"fcm": re.compile(r"[!-~]+"), "apns": re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")}
_SAFE = re.compile(r"[ -~]*")


class _Started(NamedTuple):
    """The parts of a started gateway."""

    hub: str
    messages: Place
    client: Client
    signatures: Signatures


class Azure:
    """See pns.contracts.gateway.Gateway. A push that Azure refuses for its signature is sent once more, with
    a new signature.
    """

    name = "azure"
    facts = NO_FACTS

    def __init__(self, settings: AzureSettings, *, clock: Clock, proxy: Proxy | None = None) -> None:
        self._proxy = proxy
        self.networks: frozenset[Network] = frozenset(settings.networks)
        self.throughput = Throughput(settings.rate_per_second, settings.concurrency)
        self._settings = settings
        self._clock = clock
        self._started: _Started | None = None

    async def start(self) -> None:
        settings = self._settings
        access = parse(settings.connection_string)
        if not settings.hub:
            raise SettingsError("push.azure.hub must be the name of the notification hub")
        context = trusted(settings.ca_file, "push.azure.ca_file")
        hub = access.url + quote(settings.hub, safe="")
        self._started = _Started(
            hub,
            Place.parse(f"{hub}/messages/?api-version={API_VERSION}&direct=true"),
            Client(context, connections=settings.concurrency, proxy=self._proxy),
            Signatures(access, clock=self._clock),
        )

    async def stop(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.client.close()

    # ── devices ───────────────────────────────────────────────────────────────────────────────────────

    def check(self, registration: Registration) -> None:
        if registration.subscription is not None:
            raise wrong("/subscription", "must be left out: the hub reaches a device by its token")
        if registration.token_kind != "token":
            raise wrong("/token_kind", 'must be "token": the hub knows no installation ids')
        form = _TOKENS.get(registration.network)
        if form is None or registration.token is None or not form.fullmatch(registration.token):
            raise wrong("/token", f"must be the token that {registration.network} gave the app")
        if registration.network == "apns" and registration.app and not BUNDLE_ID.fullmatch(registration.app):
            raise wrong("/app", "must be the app's bundle id: letters, digits, dots and hyphens")

    def circuit(self, device: Device) -> str:
        return ""

    async def register(self, registration: Registration, device_id: str) -> Address:
        """The address of the network's own gateway, so that each gateway can take over from the other."""
        self.check(registration)
        token = registration.token or ""
        return Address(token.lower() if registration.network == "apns" else token)

    async def unregister(self, device: Device) -> None:
        """The hub keeps nothing of the device."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Nothing to take back: the hub made nothing for PNS."""

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    async def push(self, push: Push) -> Receipt:
        now, address = self._clock.now(), push.device.address
        try:
            message = azure_message.message(push, now)
        except ValueError as error:
            return Receipt(Outcome.FAILED, str(error))
        headers = {
            **message.headers,
            "content-type": CONTENT_TYPE,
            "servicebusnotification-format": message.format,
            "servicebusnotification-devicehandle": address,
        }
        if not all(map(_SAFE.fullmatch, headers.values())):
            return Receipt(Outcome.FAILED, "the device's address or app cannot stand in a header of HTTP")
        try:
            return azure_answer.receipt(await self._send(headers, message.body), address, now)
        except NoAnswer as error:
            return lost(str(error))

    async def trouble(self) -> str:
        """Looks at the hub, which no push comes from."""
        line = self._running()
        place, signed = (
            Place.parse(f"{line.hub}?api-version={API_VERSION}"),
            _signed(line.signatures.current()),
        )
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                return azure_answer.trouble(await line.client.ask("GET", place, headers=signed))
        except (NoAnswer, TimeoutError) as error:
            return f"Azure Notification Hubs does not answer ({str(error) or 'TimeoutError'})"

    async def _send(self, headers: Mapping[str, str], body: bytes) -> http1.Answer:
        signatures = self._running().signatures
        signature = signatures.current()
        response = await self._post({**headers, **_signed(signature)}, body)
        if response.status == 401:
            signatures.drop(signature)
            response = await self._post({**headers, **_signed(signatures.current())}, body)
        return response

    async def _post(self, headers: Mapping[str, str], body: bytes) -> http1.Answer:
        line = self._running()
        return await line.client.ask("POST", line.messages, headers=headers, body=body)

    def _running(self) -> _Started:
        assert self._started is not None, "the gateway was not started"
        return self._started


def _signed(signature: str) -> dict[str, str]:
    return {"authorization": signature, "x-ms-version": API_VERSION}
