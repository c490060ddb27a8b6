"""The gateway to Firebase Cloud Messaging, HTTP v1: one request for each push.

The form of a push: message.py. The meaning of the answers: answers.py. The access token: google.py.
https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pns.adapters.gateways.fcm.answers import Answer
from pns.adapters.gateways.fcm.google import AccessTokens, NoAccess, service_account
from pns.adapters.gateways.fcm.message import Message, message, shape, target
from pns.adapters.gateways.http import Client, lost, trusted
from pns.adapters.gateways.proof import Proof
from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput, wrong
from pns.errors import SettingsError
from pns.model.device import Address, Device, Network, Registration
from pns.model.push import Push
from pns.runtime.clock import Clock
from pns.runtime.http1 import NoAnswer, Place, Unreachable
from pns.runtime.proxy import Proxy
from pns.settings import FCMSettings

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"

_TRIAL_SECONDS = 10
_ACCOUNT = ""
"""One service for all devices: its trouble is the trouble of all."""
_TOKEN = re.compile(r"[!-~]+")
"""Google documents no form of a token. Google makes visible ASCII only, and not every store keeps more."""

_REMEDIES = {
    Outcome.REFUSED: "set this machine's clock, or make a new key for push.fcm.credentials",
    Outcome.UNAVAILABLE: "see that this machine reaches the token_uri of push.fcm.credentials",
}


class _Started(NamedTuple):
    """The parts of a started gateway."""

    place: Place
    client: Client
    tokens: AccessTokens


class FCM:
    """See pns.contracts.gateway.Gateway. A push that Google refuses for its access token is sent once
    more, with a new token.
    """

    name = "fcm"
    networks: frozenset[Network] = frozenset({"fcm"})

    def __init__(self, settings: FCMSettings, *, clock: Clock, proxy: Proxy | None = None) -> None:
        self._proxy = proxy
        self.facts: Mapping[str, str] = NO_FACTS
        self.throughput = Throughput(settings.rate_per_second, settings.concurrency)
        self._settings = settings
        self._clock = clock
        self._started: _Started | None = None
        self._taken: set[frozenset[str]] = set()
        self._proof = Proof()

    async def start(self) -> None:
        account = service_account(self._settings.credentials, SCOPE, "push.fcm.credentials")
        project = self._settings.project or account.project
        if not project:
            raise SettingsError("push.fcm.project must be set: the key of push.fcm.credentials names none")
        trust = trusted("", "push.fcm.url")
        self.facts = {"project": project}
        self._started = _Started(
            Place.parse(f"{self._settings.url.rstrip('/')}/v1/projects/{project}/messages:send"),
            Client(trust, connections=self._settings.concurrency, proxy=self._proxy),
            AccessTokens(account.credentials, trust, clock=self._clock, proxy=self._proxy),
        )

    async def stop(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            await started.tokens.stop()
            started.client.close()

    # ── devices ───────────────────────────────────────────────────────────────────────────────────────

    def check(self, registration: Registration) -> None:
        if registration.subscription is not None:
            raise wrong("/subscription", "must not be given: FCM reaches a device by its token")
        if not _TOKEN.fullmatch(registration.token or ""):
            raise wrong("/token", "must be the token, or the installation id, that Firebase gave the app")

    def circuit(self, device: Device) -> str:
        return _ACCOUNT

    async def register(self, registration: Registration, device_id: str) -> Address:
        self.check(registration)
        return Address(registration.token or "", keys={"kind": registration.token_kind})

    async def unregister(self, device: Device) -> None:
        """Firebase keeps the token: only the app itself can give a token back."""

    async def tidy(self, is_registered: IsRegistered) -> None:
        """Nothing to take back: Firebase made nothing for PNS."""

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    async def push(self, push: Push) -> Receipt:
        try:
            made = message(push, self._clock.now())
        except ValueError as error:
            return Receipt(Outcome.FAILED, str(error))
        try:
            answer = await self._send({"message": {**target(push.device), **made}})
        except NoAccess as error:
            return error.receipt
        except NoAnswer as error:
            return lost(str(error))
        form = shape(made)
        known = self._proof.has(_ACCOUNT)
        receipt = answer.receipt(self._clock.now(), proven=form in self._taken, known=known)
        if receipt.outcome is Outcome.ACCEPTED:
            self._taken.add(form)
        return self._proof.noted(_ACCOUNT, receipt, of_a_device=answer.is_of_a_device)

    async def trouble(self) -> str:
        try:
            await self._running().tokens.token()
        except NoAccess as error:
            outcome, words = error.receipt.outcome, error.receipt.reason
            return f"Google gives no access token for FCM ({words}): {_REMEDIES[outcome]}."
        return await self._out_of_reach()

    async def _out_of_reach(self) -> str:
        """Google gives access tokens at another host than it takes pushes at. The way alone is tried."""
        try:
            async with asyncio.timeout(_TRIAL_SECONDS):
                await self._running().client.ask("GET", Place.parse(self._settings.url), headers={})
        except Unreachable as error:
            return f"FCM is not reached at push.fcm.url: {lost(str(error)).reason}."
        except TimeoutError:
            return "FCM is not reached at push.fcm.url: no answer in time."
        except NoAnswer:
            pass  # somebody is there
        return ""

    async def _send(self, body: Message) -> Answer:
        tokens = self._running().tokens
        token = await tokens.token()
        answer = await self._post(body, token)
        if not answer.refuses_access:
            return answer
        tokens.drop(token)
        return await self._post(body, await tokens.token())

    async def _post(self, body: Message, token: str) -> Answer:
        line = self._running()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json; charset=utf-8"}
        said = await line.client.ask("POST", line.place, headers=headers, body=msgspec.json.encode(body))
        return Answer(said)

    def _running(self) -> _Started:
        assert self._started is not None, "the gateway was not started"
        return self._started
