"""Registers devices at push networks and removes them: first at the gateway, then in the outbox.

Kii's rules: several devices a user; the last user to register an address owns it; registering again at each
start refreshes; a pseudo user has one device.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET

from pns.contracts.gateway import Gateway
from pns.contracts.store import Store
from pns.errors import Invalid
from pns.model.answers import Registered
from pns.model.device import PSEUDO_USER, Device, Network, Registration, new_device_id
from pns.runtime.clock import Clock
from pns.runtime.shielded import Shielded

MOST_DEVICES = 50
"""Of one user; the oldest registration makes room for another."""


class RegisteredDevice(NamedTuple):
    """A device as the store keeps it. `reply`: the gateway's answer to the device, told once.

    `dismissed`: the notifications that the device need not show any more.
    """

    device: Device
    reply: Mapping[str, object]
    dismissed: Sequence[str] = ()

    @property
    def told(self) -> Registered:
        """The answer to the device, or to the application for the device."""
        is_web = self.device.network == "webpush"
        return Registered(
            self.device.device_id,
            mqtt=UNSET if is_web else dict(self.reply) or UNSET,
            application_server_key=str(self.reply.get("application_server_key", "")) or UNSET,
            dismissed=list(self.dismissed) or UNSET,
        )


class Registrar:
    """Registers and removes devices. Both go on to their end, also when the caller is cancelled.

    `gateways` belong to the node, devices to the store. You must stop `shielded` before both.
    """

    def __init__(self, gateways: Sequence[Gateway], store: Store, clock: Clock) -> None:
        """Of two gateways for one network the first takes new devices."""
        self._gateways = {gateway.name: gateway for gateway in gateways}
        self._store = store
        self._clock = clock
        self.shielded = Shielded()

    @property
    def networks(self) -> dict[Network, Mapping[str, str]]:
        """The networks of this node's gateways, with the facts that an app needs to register there."""
        return {
            network: gateway.facts
            for gateway in reversed(self._gateways.values())
            for network in sorted(gateway.networks)
        }

    async def register(
        self, user_id: str, registration: Registration, device_id: str = ""
    ) -> RegisteredDevice:
        """Register a device of the user.

        A device of the user that `registration` names keeps its id. Otherwise the device gets `device_id`,
        an id that PNS itself gave out, if the id is free or belongs to the same device.

        Raises Invalid naming the field, StoreUnavailable, or Unavailable when the gateway cannot now.
        """
        return await self.shielded.run(self._register(user_id, registration, device_id))

    async def _register(self, user_id: str, registration: Registration, device_id: str) -> RegisteredDevice:
        gateway = self._gateway(registration.network)
        device_id = await self._device_id(user_id, registration, device_id)
        try:
            gateway.check(registration)
            address = await gateway.register(registration, device_id)
        except ValueError as error:
            raise Invalid([error.args]) from None
        device = await self._store.outbox.register(
            Device(
                device_id=device_id,
                user_id=user_id,
                network=registration.network,
                gateway=gateway.name,
                address=address.address,
                keys=address.keys,
                app=registration.app,
                environment=registration.environment,
                platform=registration.platform,
                registered_at=self._clock.now(),
                expires_at=address.expires_at,
            )
        )
        await self._make_room(device)
        return RegisteredDevice(device, address.reply, await self._gone(user_id, registration.shown))

    async def _gone(self, user_id: str, shown: Sequence[str]) -> list[str]:
        """The ids among `shown` that were seen, or are gone."""
        unseen = await self._store.outbox.still_unseen(user_id, shown) if shown else set()
        return [each for each in shown if each not in unseen]

    async def register_pseudo(self, registration: Registration) -> RegisteredDevice:
        """Register a device without a user. PNS makes a user for the device, the same user each time."""
        known = None
        if registration.device_id is not None:
            known = await self._store.outbox.device(registration.device_id)
        if known is not None and known.user_id.startswith(PSEUDO_USER):
            return await self.register(known.user_id, registration)
        return await self.register(await self._pseudo_user(registration), registration)

    async def unregister(self, user_id: str, device_id: str) -> bool:
        """Remove a device of the user at once. Returns whether the user had the device."""
        return await self.shielded.run(self._unregister(user_id, device_id))

    async def _unregister(self, user_id: str, device_id: str) -> bool:
        device = await self._store.outbox.unregister(user_id, device_id)
        if device is None:
            return False
        await self.released(device)
        return True

    async def released(self, device: Device) -> None:
        """A device was removed from the store: the gateway takes back the login it gave."""
        gateway = self._gateways.get(device.gateway)
        if gateway is not None:
            await gateway.unregister(device)

    def _gateway(self, network: Network) -> Gateway:
        for gateway in self._gateways.values():
            if network in gateway.networks:
                return gateway
        there = ", ".join(self.networks) or "none"
        raise Invalid([("/network", f"this PNS reaches {there}: [push.{network}] is not set")])

    async def _device_id(self, user_id: str, registration: Registration, given: str) -> str:
        asked = (user_id, registration.network, registration.app, registration.environment)
        for wanted in filter(None, (registration.device_id, given)):
            known = await self._store.outbox.device(wanted)
            # A free id may be a former owner's: only an id that PNS gave out is taken.
            if known is None and wanted == given:
                return given
            if known and (known.user_id, known.network, known.app, known.environment) == asked:
                return wanted
        return new_device_id()

    async def _pseudo_user(self, registration: Registration) -> str:
        address = registration.token or (registration.subscription and registration.subscription.endpoint)
        if not address:
            return PSEUDO_USER + new_device_id()
        said = "\n".join([registration.network, registration.app, registration.environment, address])
        secret = await self._store.secret()
        return PSEUDO_USER + hmac.new(secret.encode(), said.encode(), "sha256").hexdigest()[:32]

    async def _make_room(self, device: Device) -> None:
        most = 1 if device.user_id.startswith(PSEUDO_USER) else MOST_DEVICES
        devices = await self._store.outbox.devices(device.user_id)
        others = [other for other in devices if other.device_id != device.device_id]
        for other in others[: max(0, len(devices) - most)]:
            await self._unregister(other.user_id, other.device_id)
