"""Does push work: can each configured gateway send, and does any push wait longer than it should?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from typing import get_args

import httpx2 as httpx
import msgspec

from pns.compose import make_gateways, webpush_reach
from pns.contracts.gateway import Gateway
from pns.contracts.outbox import Backlog
from pns.contracts.store import Store
from pns.errors import PNSError, SettingsError
from pns.model.device import NETWORKS, Network
from pns.model.push import WAITING
from pns.model.timestamp import SECOND
from pns.ops.commands.arguments import GatewayName
from pns.ops.commands.doctor.browsers import SERVER_KEY, check_keys
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.doctor.way_out import way_out
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.status import summary, waiting
from pns.runtime.clock import SystemClock
from pns.settings import Settings
from pns.web.devices import Networks

SECONDS = 20.0
OVERDUE_SECONDS = 300
PUSH = "push"
OUTBOX = "the outbox"
SERVICES = "push services of browsers"
MOST_DEVICES = 500


async def check_push(settings: Settings, *, url: str) -> AsyncIterator[Finding]:
    """Ask each gateway's service for trouble, and the store for waiting pushes. Nothing is sent.

    The PNS that runs at `url` is asked for its networks: inside an application, PNS may have other settings.
    """
    clock = SystemClock()
    try:
        async with store_beside(settings, clock=clock) as store:
            gateways = make_gateways(settings, store, clock=clock)
            running = await _networks(url)
            elsewhere = sorted((running or set()).difference(*(gateway.networks for gateway in gateways)))
            yield _set(gateways, elsewhere, asked=running is not None)
            for gateway in gateways:
                yield await _ask(gateway, settings)
                if (key := gateway.facts.get(SERVER_KEY)) is not None:
                    yield await check_keys(store.outbox, key)
            if settings.push.webpush.is_on:
                yield await _reach(settings, store)
            backlog = await store.outbox.backlog()
            yield _waiting(backlog, clock.now())
            known = {gateway.name for gateway in gateways}.union(elsewhere, ["azure"] if elsewhere else ())
            for finding in _astray(backlog, known):
                yield finding
    except SettingsError as error:
        yield bad(PUSH, str(error), "do what it says; no gateway can be asked before")
    except PNSError:
        yield not_asked(PUSH, "mend the store first: devices and what waits for them are there")


async def _networks(url: str) -> set[Network] | None:
    """The push networks of the PNS that runs at `url`; None where `url` does not name them."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            response = await client.get(f"{url.rstrip('/')}/devices/networks")
        return set(NETWORKS).intersection(msgspec.json.decode(response.content, type=Networks).networks)
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError):
        return None


def _set(gateways: Sequence[Gateway], elsewhere: Sequence[str], *, asked: bool) -> Finding:
    on = [gateway.name for gateway in gateways]
    off = ", ".join(name for name in get_args(GatewayName) if name not in on)
    here = f"{', '.join(on) or 'off'} in these settings"
    if elsewhere:
        return not_asked(PUSH, _ELSEWHERE, f"{here}; the running PNS has {', '.join(elsewhere)}")
    if not on and not asked:
        return not_asked(PUSH, _ELSEWHERE, f"{here}; the running PNS does not say what it has")
    if not on:
        return good(PUSH, "off: no gateway is set, so nobody is reached whose pages are closed")
    return good(PUSH, f"{', '.join(on)}; off: {off or 'none'}")


async def _ask(gateway: Gateway, settings: Settings) -> Finding:
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
        way = way_out(settings, os.environ) if gateway.name != "mqtt" else ""
        return bad(question, trouble, _TROUBLE.format(name=gateway.name) + way)
    return good(question, "it would take a push")


async def _reach(settings: Settings, store: Store) -> Finding:
    """Whether any of the browsers' push services is reached: those of devices, or the best known."""
    devices = await store.outbox.all_devices("", MOST_DEVICES)
    endpoints = [device.address for device in devices if device.gateway == "webpush"]
    found = await webpush_reach(settings, endpoints, clock=SystemClock())
    told = ", ".join(service if not why else f"{service} not ({why})" for service, why in found.items())
    if not found:
        return not_asked(SERVICES, "register a device first: yours may be push services of your own")
    if all(found.values()):
        return bad(SERVICES, f"none is reached: {told}", _NO_WAY + way_out(settings, os.environ))
    return good(SERVICES, f"reached: {told}")


def _waiting(backlog: Sequence[Backlog], now: int) -> Finding:
    _, oldest = waiting(backlog)
    told, late = summary(backlog, now), oldest is not None and now - oldest > OVERDUE_SECONDS * SECOND
    return bad(OUTBOX, told, _OVERDUE) if late else good(OUTBOX, told)


def _astray(backlog: Sequence[Backlog], known: Set[str]) -> Iterator[Finding]:
    """The pushes of gateways that are set neither here nor, as far as is known, in the running PNS."""
    for name in sorted({found.gateway for found in backlog if found.state in WAITING} - known):
        stray = sum(found.pushes for found in backlog if found.gateway == name and found.state in WAITING)
        yield bad(OUTBOX, f"{stray:,} wait for {name}, which is not set", _STRAY.format(name=name))


_ELSEWHERE = (
    "give these settings the [push] of the running PNS (--config, or PNS_PUSH__…): where it is part of an "
    "application, its settings may stand in code, which no command can read"
)
_TROUBLE = (
    "mend what it names: [push.{name}], the way from here to the service, or the account there; pushes wait "
    "meanwhile and go on by themselves"
)
_NO_WAY = "let this machine reach them on port 443"
_OVERDUE = (
    "is a node running whose role is all or push (`pns serve --role push`)? If so, the gateway above or the "
    "node's log says why it does not send"
)
_STRAY = (
    "set [push.{name}] on every node that pushes, or move its devices to another gateway: "
    "`pns devices regateway --from {name} --to … --network …`"
)
