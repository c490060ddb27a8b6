"""Does the bus carry the nodes' hints, as seen from here?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pns.compose import bus_trouble
from pns.errors import SettingsError
from pns.ops.commands.doctor.finding import Finding, bad, good
from pns.settings import Settings

SECONDS = 10.0
BUS = "the bus"


async def check_bus(settings: Settings) -> AsyncIterator[Finding]:
    """Send a message over the bus of `bus.url` and wait for its return; nodes ignore the message."""
    if settings.bus.is_local:
        yield good(BUS, _local(settings))
        return
    try:
        trouble = await bus_trouble(settings, seconds=SECONDS)
    except SettingsError as error:
        trouble = str(error)
    yield bad(BUS, trouble, _REMEDY) if trouble else good(BUS, "a message over it came back")


def _local(settings: Settings) -> str:
    if settings.store.is_sqlite:
        return "none is needed on one file"
    return "none, which is right for one node; of several, each would learn of changes at its heartbeats"


_REMEDY = (
    "start the broker, or correct bus.url as seen from PNS's machine or container (PostgreSQL without a "
    "pooler); meanwhile nothing is lost, but devices on other nodes learn of changes at heartbeats"
)
