"""A gateway that does what the test says, and records what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from pns.contracts.gateway import NO_FACTS, IsRegistered, Outcome, Receipt, Throughput
from pns.model.device import Address, Device, Network, Registration
from pns.model.push import Push

Script = Callable[[Push], Receipt | None]
"""What becomes of a push; None: no answer at all."""

ACCEPTED = Receipt(Outcome.ACCEPTED)


class ScriptedGateway:
    """See pns.contracts.gateway.Gateway. `asked`: every push, as they came; `taken`: the accepted."""

    networks: frozenset[Network]
    facts: Mapping[str, str] = NO_FACTS

    def __init__(self, name: Network = "fcm", script: Script = lambda push: ACCEPTED) -> None:
        self.name: str = name
        self.networks = frozenset({name})
        self.throughput = Throughput(1_000_000, 100)
        self.script = script
        self.asked: list[Push] = []
        self.taken: Counter[tuple[str, str]] = Counter()
        self.released: list[Device] = []
        self.busy = 0
        self.most_busy = 0
        self.latency = 0
        self.circuits: Callable[[Device], str] = lambda device: ""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def check(self, registration: Registration) -> None: ...

    def circuit(self, device: Device) -> str:
        return self.circuits(device)

    async def register(self, registration: Registration, device_id: str) -> Address:
        token = registration.token or f"topic/{device_id}"
        return Address(token.lower() if registration.network == "apns" else token)  # as APNs' own does

    async def unregister(self, device: Device) -> None:
        self.released.append(device)

    async def tidy(self, is_registered: IsRegistered) -> None: ...

    async def push(self, push: Push) -> Receipt:
        self.asked.append(push)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            for _ in range(self.latency + 1):
                await asyncio.sleep(0)
            receipt = self.script(push)
            if receipt is None:
                await asyncio.Event().wait()
                raise AssertionError
        finally:
            self.busy -= 1
        if receipt.outcome is Outcome.ACCEPTED:
            self.taken[push.device.device_id, push.notification_id] += 1
        return receipt

    async def trouble(self) -> str:
        return ""
