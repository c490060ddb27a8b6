"""`pns webhook secret` and `pns webhook test`: the secret, and an example past the store's events.

Nothing is stored, but for the secret where none was made before.
"""

from __future__ import annotations

import asyncio

from pns.compose import make_receiver, webhook_secret
from pns.contracts.receiver import Receiver, Reply, Taking
from pns.errors import SettingsError
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.devices import Echo
from pns.push.webhook.letter import example
from pns.runtime.clock import Clock, SystemClock
from pns.runtime.one_line import printable
from pns.settings import Settings

WORDS = {
    Taking.TAKEN: "taken",
    Taking.AGAIN: "not taken, so PNS would try again",
    Taking.GONE: "not taken, and webhooks would be off until the next start",
}
OFF = "webhook.url is not set, so nothing is told: set webhook.url to the address in your application"


async def print_secret(settings: Settings, *, echo: Echo) -> None:
    """Raises PNSError."""
    async with store_beside(settings, clock=SystemClock()) as store:
        echo(await webhook_secret(settings, store))


async def try_out(settings: Settings, *, echo: Echo) -> bool:
    """Send an example, and tell the answer. Returns whether the application took it. Raises PNSError."""
    clock = SystemClock()
    async with store_beside(settings, clock=clock) as store:
        receiver = make_receiver(settings, store, clock=clock)
        if receiver is None:
            raise SettingsError(OFF)
        await receiver.start()
        try:
            reply = await try_example(receiver, clock, settings.webhook.timeout_seconds)
        finally:
            await receiver.stop()
    told = ": ".join(filter(None, (WORDS[reply.taking], reply.reason)))
    echo(printable(f"{settings.webhook.url.partition('?')[0]}  {told}"))
    return reply.taking is Taking.TAKEN


async def try_example(receiver: Receiver, clock: Clock, seconds: float) -> Reply:
    """The application's answer to an example. No answer within `seconds` is an answer, too."""
    try:
        async with asyncio.timeout(seconds):
            return await receiver.take(example(clock.now()))
    except TimeoutError:
        return Reply(Taking.AGAIN, f"no answer within {seconds:g} s")
