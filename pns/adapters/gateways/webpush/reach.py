"""Are the push services of browsers reached from this machine? The way alone is tried, nothing is pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from pns.adapters.gateways.endpoint import Endpoint, ForbiddenEndpoint, Reach
from pns.adapters.gateways.http import trusted
from pns.adapters.gateways.webpush.public_line import PublicLine
from pns.runtime.clock import Clock
from pns.runtime.http1 import NoAnswer
from pns.runtime.proxy import Proxy
from pns.settings import WebPushSettings

SECONDS = 10
MOST = 5
SERVICES = (
    "https://fcm.googleapis.com/",
    "https://updates.push.services.mozilla.com/",
    "https://web.push.apple.com/",
)
"""Where Chrome, Firefox and Safari are reached."""


class Tried(NamedTuple):
    """A push service, and why it is not reached; empty for a service that answered."""

    service: str
    trouble: str


async def try_hosts(
    settings: WebPushSettings, endpoints: Iterable[str], *, clock: Clock, proxy: Proxy | None = None
) -> list[Tried]:
    """Ask MOST of the services of `endpoints`, else those of SERVICES, as a push would. Any answer counts.

    Nobody is asked without endpoints where services of one's own may be meant. Raises SettingsError.
    """
    found = dict.fromkeys(_origins(endpoints))
    asked = list(found)[:MOST] or ([] if settings.allowed_networks else list(_origins(SERVICES)))
    trust = trusted(settings.ca_file, "push.webpush.ca_file")
    line = PublicLine(
        Reach(settings.allowed_networks), trust=trust, connections=MOST, clock=clock, proxy=proxy
    )
    try:
        return await asyncio.gather(*(_try(line, origin) for origin in asked))
    finally:
        await line.close()


def _origins(endpoints: Iterable[str]) -> Iterable[str]:
    for endpoint in endpoints:
        with suppress(ForbiddenEndpoint):
            yield str(Endpoint.parse(endpoint).origin)


async def _try(line: PublicLine, origin: str) -> Tried:
    try:
        async with asyncio.timeout(SECONDS):
            await line.post(Endpoint.parse(f"{origin}/"), headers={}, body=b"")
    except TimeoutError:
        return Tried(origin, "no answer in time")
    except ForbiddenEndpoint:
        return Tried(origin, "its name leads to no public address here")
    except NoAnswer as error:
        return Tried(origin, str(error))
    return Tried(origin, "")
