"""`pns devices list` and `pns devices show`: the devices at push networks, as the store keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from pns.contracts.store import Store
from pns.errors import PNSError
from pns.model.device import Device
from pns.model.timestamp import format_timestamp
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.columns import Columns
from pns.runtime.clock import SystemClock
from pns.runtime.one_line import printable
from pns.settings import Settings

PAGE = 500
TOKEN_CHARACTERS = 20

Echo = Callable[[str], object]


async def print_devices(settings: Settings, *, user_id: str | None, echo: Echo) -> None:
    """A line for each device, of a user or of all users. Raises PNSError for an unreadable store."""
    columns = Columns("DEVICE", "USER", "NETWORK", "GATEWAY", "APP", "BADGE", "REGISTERED", "TOKEN")
    empty = True
    async with store_beside(settings, clock=SystemClock()) as store:
        async for page in _pages(store, user_id):
            empty = False
            for line in columns.lines([_row(device) for device in page]):
                echo(line)
    if empty:
        echo("No devices registered yet." if user_id is None else "No device of this user is registered.")


async def print_device(settings: Settings, device_id: str, *, echo: Echo) -> None:
    """The fields of a device, a line for each. Raises PNSError for an unknown device."""
    async with store_beside(settings, clock=SystemClock()) as store:
        device = await found_device(store, device_id)
    fields = {
        "device": device.device_id,
        "user": device.user_id,
        "network": device.network,
        "gateway": device.gateway,
        "app": device.app,
        "environment": device.environment,
        "platform": device.platform,
        "badge": _badge(device),
        "token": _token(device),
        "registered": format_timestamp(device.registered_at),
        "expires": "never" if device.expires_at is None else format_timestamp(device.expires_at),
    }
    for name, value in fields.items():
        echo(f"{name:<11}  {printable(value) or '-'}")


async def found_device(store: Store, device_id: str) -> Device:
    """The device of this id. Raises PNSError."""
    device = await store.outbox.device(device_id)
    if device is None:
        raise PNSError("there is no such device; `pns devices list` shows those that there are")
    return device


async def all_devices(store: Store) -> AsyncIterator[list[Device]]:
    """Every device, in pages."""
    page = await store.outbox.all_devices("", PAGE)
    while page:
        yield page
        page = await store.outbox.all_devices(page[-1].device_id, PAGE)


async def _pages(store: Store, user_id: str | None) -> AsyncIterator[list[Device]]:
    if user_id is None:
        async for page in all_devices(store):
            yield page
    elif page := await store.outbox.devices(user_id):
        yield page


def _row(device: Device) -> tuple[str, ...]:
    who = (device.device_id, device.user_id, device.network, device.gateway, device.app)
    return (*who, _badge(device), format_timestamp(device.registered_at)[:19] + "Z", _token(device))


def _badge(device: Device) -> str:
    return "unseen" if device.badge is None else str(device.badge)


def _token(device: Device) -> str:
    more = "…" if len(device.address) > TOKEN_CHARACTERS else ""
    return device.address[:TOKEN_CHARACTERS] + more
