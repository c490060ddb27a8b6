"""`pns devices regateway`: from now on another gateway reaches the devices of a network.

The devices move in small steps, each a commit together with their waiting pushes. A stopped command goes on
when it is called again. Only the operator knows whether a token is good at another gateway: Azure takes the
tokens of FCM and APNs.
"""

from __future__ import annotations

import asyncio

from rich.console import Console

from pns.compose import make_gateways
from pns.contracts.store import Store
from pns.errors import SettingsError
from pns.model.device import Network
from pns.ops.commands.copy.progress import Progress, progress_on
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.devices import all_devices
from pns.runtime.clock import SystemClock
from pns.settings import Settings

STEP = 500
"""Devices in a commit: few, so that no notify waits for the commit."""


def run(settings: Settings, *, source: str, target: str, network: Network) -> str:
    """Move the devices, show the progress on standard error, and return a sentence with the result.

    Raises SettingsError when `target` does not reach `network`, StoreUnavailable.
    """
    if source == target:
        raise SettingsError(f"--from and --to are the same gateway, {source}: name two")
    with progress_on(Console(stderr=True)) as progress:
        moved = asyncio.run(_run(settings, source, target, network=network, progress=progress))
    if not moved:
        return f"nothing to move: no device of {network} is reached through {source}"
    return f"{moved:,} devices of {network} are reached through {target} now"


async def _run(settings: Settings, source: str, target: str, *, network: Network, progress: Progress) -> int:
    clock = SystemClock()
    async with store_beside(settings, clock=clock) as store:
        reached = {gateway.name: gateway.networks for gateway in make_gateways(settings, store, clock=clock)}
        if target not in reached:
            raise SettingsError(f"[push.{target}] is not set: set it on every node before its devices come")
        if network not in reached[target]:
            there = ", ".join(sorted(reached[target]))
            raise SettingsError(f"{target} does not reach {network}; as it is set, it reaches {there}")
        progress.begin("devices", total=await _count(store, source, network))
        return await move(store, source, target, network=network, progress=progress)


async def move(store: Store, source: str, target: str, *, network: Network, progress: Progress) -> int:
    """Move all devices, step by step; returns their number."""
    total = 0
    while True:
        moved = await store.outbox.regateway(source, target, network, limit=STEP)
        progress.advance(moved)
        total += moved
        if moved < STEP:
            return total


async def _count(store: Store, source: str, network: Network) -> int:
    count = 0
    async for page in all_devices(store):
        count += sum((device.gateway, device.network) == (source, network) for device in page)
    return count
