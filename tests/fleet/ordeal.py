"""What a fleet must go through: load, a fault in the middle of it, and the truth afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from tests.fleet import faults
from tests.fleet.faults import Fault
from tests.fleet.fleet import Fleet
from tests.fleet.load import Load

log = logging.getLogger(__name__)

SHORT_SECONDS = 1.0
FREEZE_SECONDS = 5.0
LONG_SECONDS = 60.0
SERVED_SECONDS = 3.0
"""After the store's return, requests sent later than this are served, on however busy a machine."""

During = Callable[[Load], Awaitable[object]]


async def _briefly(load: Load) -> None:
    await asyncio.sleep(SHORT_SECONDS)


def stay(seconds: float) -> During:
    """Let a fault last so long."""

    async def during(load: Load) -> None:
        await asyncio.sleep(seconds)

    return during


async def endure(
    fleet: Fleet,
    fault: Fault,
    *,
    during: During = _briefly,
    refuses: bool = False,
    loses: bool = False,
) -> Load:
    """Nothing acknowledged is lost or doubled, no count goes backwards, and every device is on the true count
    within a heartbeat of the fault's end; the bus comes back by itself.

    `refuses`: 503 may be the answer meanwhile, else never. `loses`: connections may be lost, else none.
    """
    now = asyncio.get_running_loop().time
    async with Load(fleet) as load:
        await load.goes_on()
        began = now()
        async with fault(fleet):
            await during(load)
        ended = now()
        await load.whisper()
        caught_up = await load.catches_up()
        await load.goes_on()
        settled = await load.settles()
        await load.check()
        if not loses:
            await load.nobody_left()
    await fleet.recovers()
    log.info(
        "after %.1f s caught up in %.2f s, settled in %.2f s; %s", ended - began, caught_up, settled, load
    )
    assert refuses or not load.refusals
    for refusal in load.refusals:
        assert refusal.answered >= began
        assert refusal.sent <= ended + SERVED_SECONDS
    return load


async def go_on(load: Load) -> None:
    """Let a fault last until enough was served all the same."""
    await load.goes_on()


def follow(seconds: float = 0.0) -> During:
    """Let a bus be gone at least so long: devices are a heartbeat late at most, and nothing is refused."""

    async def during(load: Load) -> None:
        await load.goes_on()
        await load.whisper()
        await asyncio.gather(load.catches_up(), asyncio.sleep(seconds))

    return during


async def _is_noticed(load: Load, fleet: Fleet) -> None:
    """A bus that carries nothing to all nodes but the first: they say so, and none is unready."""
    others = len(fleet.nodes) - 1
    await fleet.tell([(200, False)] + [(200, True)] * others)
    assert await fleet.metrics("pns_bus_up") == [1.0] + [0.0] * others
    assert min((await fleet.metrics("pns_bus_losses_total"))[1:]) >= 1
    await follow()(load)


async def endure_a_bus_that_swallows(fleet: Fleet) -> None:
    """It is noticed, shown, made up for by heartbeats, and connected again."""
    await endure(fleet, faults.bus_swallowed, during=partial(_is_noticed, fleet=fleet))
    assert await fleet.metrics("pns_bus_up") == [1.0] * len(fleet.nodes)
