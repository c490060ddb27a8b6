"""`pns devices test`: a push straight through the gateway, past outbox and dispatcher.

Nothing is stored or changed, a dead device included: the push of the next notification finds a dead device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from pns.compose import make_gateways
from pns.contracts.gateway import Gateway, Outcome, Receipt
from pns.contracts.store import Store
from pns.model.device import Device, shortened
from pns.model.push import Push
from pns.model.timestamp import HOUR
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.devices import Echo, found_device
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.one_line import printable
from pns.settings import Settings

LIFETIME = HOUR
TEXT = '{"title":"PNS","body":"A test push: this device is reached."}'

WORDS = {
    Outcome.ACCEPTED: "accepted, which is not delivered yet",
    Outcome.RETRY: "not now",
    Outcome.UNAVAILABLE: "the service is in trouble",
    Outcome.REFUSED: "the service refuses PNS's credentials or settings",
    Outcome.FAILED: "it can never be sent",
    Outcome.DEVICE_INVALID: "the network knows this device no more; the next notification removes it",
}


async def try_out(
    settings: Settings, device_ids: Sequence[str], *, user_id: str | None = None, echo: Echo
) -> bool:
    """A line for each device, those of `user_id` too. Returns whether all were accepted. Raises PNSError."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(store_beside(settings, clock=clock))
        devices = [await found_device(store, device_id) for device_id in device_ids]
        devices += await store.outbox.devices(user_id) if user_id is not None else []
        if not devices:
            echo("No registered devices: there is nobody to send to.")
        wanted = {device.gateway for device in devices}
        gateways = await _started(
            [each for each in make_gateways(settings, store, clock=clock) if each.name in wanted], stack
        )
        outcomes = set()
        for device in devices:
            push = await _push(store, device, clock)
            receipt = await _tried(gateways.get(device.gateway), push, settings.push.timeout_seconds)
            echo(_line(device, receipt))
            outcomes.add(receipt.outcome)
    return outcomes <= {Outcome.ACCEPTED}


async def _started(gateways: Sequence[Gateway], stack: AsyncExitStack) -> dict[str, Gateway]:
    """Each gateway once, for all its devices: services count introductions."""
    for gateway in gateways:
        stack.push_async_callback(gateway.stop)
        await gateway.start()
    return {gateway.name: gateway for gateway in gateways}


async def _push(store: Store, device: Device, clock: Clock) -> Push:
    now = clock.now()
    unseen = (await store.states([device.user_id]))[device.user_id].unseen
    return Push(
        push_key=now,
        device=device,
        attempt=1,
        expires_at=now + LIFETIME,
        badge=unseen if device.badge is None else device.badge,
        notification_id=f"test-{now}",
        notification_data=TEXT,
        create_date=now,
    )


async def _tried(gateway: Gateway | None, push: Push, seconds: float) -> Receipt:
    if gateway is None:
        return Receipt(Outcome.REFUSED, f"[push.{push.device.gateway}] is not set")
    try:
        async with asyncio.timeout(seconds):
            return await gateway.push(push)
    except TimeoutError:
        return Receipt(Outcome.UNAVAILABLE, f"no answer within {seconds:g} s")


def _line(device: Device, receipt: Receipt) -> str:
    told = [WORDS[receipt.outcome], receipt.reason, receipt.provider_id or ""]
    if receipt.retry_after is not None:
        told.append(f"again in {receipt.retry_after:g} s")
    line = (
        f"{device.device_id}  {device.gateway}  {shortened(device.address)}  {': '.join(filter(None, told))}"
    )
    return printable(line)
