"""`pns devices test`: one push straight through the gateway, past outbox and dispatcher.

Nothing is stored or changed, a dead device included: the next notification's push finds that out by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pns.clock import Clock, SystemClock
from pns.device import Device, shortened
from pns.gateway import Gateway, Outcome, Receipt
from pns.ops.compose import make_gateways
from pns.ops.push.beside import store_beside
from pns.ops.push.devices import Echo, found_device
from pns.printable import printable
from pns.push import Push
from pns.settings import Settings
from pns.store import Store

LIFETIME = 3600 * 1_000_000
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
    """A line for each device, those of `user_id` too; returns whether all were accepted. Raises PNSError."""
    clock = SystemClock()
    async with store_beside(settings, clock=clock) as store:
        devices = [await found_device(store, device_id) for device_id in device_ids]
        devices += await store.outbox.devices(user_id) if user_id is not None else []
        if not devices:
            echo("No registered devices: there is nobody to send to.")
            return True
        gateways = {gateway.name: gateway for gateway in make_gateways(settings, store, clock=clock)}
        receipts = [
            await _tried(gateways.get(device.gateway), await _push(store, device, clock), settings)
            for device in devices
        ]
    for device, receipt in zip(devices, receipts, strict=True):
        echo(_line(device, receipt))
    return all(receipt.outcome is Outcome.ACCEPTED for receipt in receipts)


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


async def _tried(gateway: Gateway | None, push: Push, settings: Settings) -> Receipt:
    if gateway is None:
        return Receipt(Outcome.REFUSED, f"[push.{push.device.gateway}] is not set")
    try:
        await gateway.start()
        async with asyncio.timeout(settings.push.timeout_seconds):
            return await gateway.push(push)
    except TimeoutError:
        return Receipt(Outcome.UNAVAILABLE, f"no answer within {settings.push.timeout_seconds:g} s")
    finally:
        await gateway.stop()


def _line(device: Device, receipt: Receipt) -> str:
    told = [WORDS[receipt.outcome], receipt.reason, receipt.provider_id or ""]
    if receipt.retry_after is not None:
        told.append(f"again in {receipt.retry_after:g} s")
    line = (
        f"{device.device_id}  {device.gateway}  {shortened(device.address)}  {': '.join(filter(None, told))}"
    )
    return printable(line)
