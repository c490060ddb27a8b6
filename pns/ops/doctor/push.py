"""Does push work: is each gateway that is set able to send, and does anything wait longer than it should?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import get_args

from pns.clock import SystemClock
from pns.errors import PNSError, SettingsError
from pns.gateway import Gateway
from pns.ops.arguments import GatewayName
from pns.ops.compose import make_gateways
from pns.ops.doctor.finding import Finding, bad, good, not_asked
from pns.ops.push.beside import store_beside
from pns.ops.push.status import ago, waiting
from pns.outbox import Backlog
from pns.push import WAITING
from pns.settings import Settings

SECONDS = 20.0
OVERDUE_SECONDS = 300
PUSH = "push"
OUTBOX = "the outbox"


async def check_push(settings: Settings) -> AsyncIterator[Finding]:
    """Ask each gateway's service whether it would take a push, and the store what waits. Nothing is sent."""
    clock = SystemClock()
    try:
        async with store_beside(settings, clock=clock) as store:
            gateways = make_gateways(settings, store, clock=clock)
            yield _set(gateways)
            for gateway in gateways:
                yield await _ask(gateway)
            for finding in _backlog(await store.outbox.backlog(), gateways, clock.now()):
                yield finding
    except SettingsError as error:
        yield bad(PUSH, str(error), "do what it says; no gateway can be asked before")
    except PNSError:
        yield not_asked(PUSH, "mend the store first: devices and what waits for them are there")


def _set(gateways: Sequence[Gateway]) -> Finding:
    on = [gateway.name for gateway in gateways]
    off = ", ".join(name for name in get_args(GatewayName) if name not in on)
    if not on:
        return good(PUSH, "off: no gateway is set, so nobody is reached whose pages are closed")
    return good(PUSH, f"{', '.join(on)}; off: {off or 'none'}")


async def _ask(gateway: Gateway) -> Finding:
    question = f"gateway {gateway.name}"
    try:
        async with asyncio.timeout(SECONDS):
            await gateway.start()
            trouble = await gateway.trouble()
    except SettingsError as error:
        return bad(question, str(error), "correct it: with it, `pns serve` does not start")
    except TimeoutError:
        trouble = f"no answer within {SECONDS:g} s"
    finally:
        await gateway.stop()
    if trouble:
        return bad(question, trouble, _TROUBLE.format(name=gateway.name))
    return good(question, "it would take a push")


def _backlog(backlog: Sequence[Backlog], gateways: Sequence[Gateway], now: int) -> Iterator[Finding]:
    count, oldest = waiting(backlog)
    if oldest is None:
        yield good(OUTBOX, "nothing waits")
        return
    told = f"{count:,} wait, the first {ago(oldest, now)}"
    late = now - oldest > OVERDUE_SECONDS * 1_000_000
    yield bad(OUTBOX, told, _OVERDUE) if late else good(OUTBOX, told)
    known = {gateway.name for gateway in gateways}
    for name in sorted({found.gateway for found in backlog if found.state in WAITING} - known):
        stray = sum(found.pushes for found in backlog if found.gateway == name and found.state in WAITING)
        yield bad(OUTBOX, f"{stray:,} wait for {name}, which is not set", _STRAY.format(name=name))


_TROUBLE = (
    "mend what it names: [push.{name}], the way from here to the service, or the account there; pushes wait "
    "meanwhile and go on by themselves"
)
_OVERDUE = (
    "is a node running whose role is all or push (`pns serve --role push`)? If so, the gateway above or the "
    "node's log says why it does not send"
)
_STRAY = (
    "set [push.{name}] on every node that pushes, or move its devices to another gateway: "
    "`pns devices regateway --from {name} --to … --network …`"
)
