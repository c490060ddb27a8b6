"""`pns push status`: the configured gateways, the content of the outbox, and events for the application."""

from __future__ import annotations

from collections.abc import Sequence

from pns.compose import make_gateways
from pns.contracts.outbox import Backlog
from pns.contracts.webhooks import WebhookBacklog
from pns.model.push import WAITING, PushState
from pns.model.timestamp import SECOND
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.columns import Columns
from pns.ops.commands.push.devices import Echo
from pns.runtime.clock import SystemClock
from pns.settings import Settings


async def print_status(settings: Settings, *, echo: Echo) -> None:
    """Raises PNSError when the store cannot be read, SettingsError when a gateway cannot be set up."""
    clock = SystemClock()
    async with store_beside(settings, clock=clock) as store:
        gateways = make_gateways(settings, store, clock=clock)
        backlog = await store.outbox.backlog()
        events = await store.webhooks.backlog()
    names = [f"{gateway.name} ({', '.join(sorted(gateway.networks))})" for gateway in gateways]
    echo(f"gateways: {', '.join(names) or 'none is set, so nothing is pushed'}")
    rows = [_row(found, clock.now()) for found in backlog]
    for line in Columns("GATEWAY", "STATE", "PUSHES", "NEXT", "SUCH AS").lines(rows):
        echo(line)
    echo(summary(backlog, clock.now()))
    known = {gateway.name for gateway in gateways}
    for name in sorted({found.gateway for found in backlog if found.state in WAITING} - known):
        echo(
            f"what is for {name} waits until [push.{name}] is set, or its devices are moved: "
            "see `pns devices regateway --help`"
        )
    for line in webhook_lines(settings, events, clock.now()):
        echo(line)


def webhook_lines(settings: Settings, events: Sequence[WebhookBacklog], now: int) -> list[str]:
    """The events for the application, by kind and state; no line where nothing is told and nothing waits."""
    url, told = settings.webhook.url, ", ".join(settings.webhook.events)
    lines = [f"webhooks: {told} to {url.partition('?')[0]}"] if url and told else []
    rows = [
        (
            str(found.kind),
            str(found.state),
            f"{found.events:,}",
            "" if found.oldest is None else ago(found.oldest, now),
            found.reason or "",
        )
        for found in events
    ]
    lines += Columns("EVENT", "STATE", "EVENTS", "NEXT", "SUCH AS").lines(rows)
    if rows and not lines[0].startswith("webhooks"):
        lines.insert(0, _NO_URL)
    return lines


_NO_URL = "webhooks: webhook.url is not set, so only functions of an embedding application take what waits"


def waiting(backlog: Sequence[Backlog]) -> tuple[int, int | None]:
    """How many pushes wait, and when the first of them was or is due."""
    found = [each for each in backlog if each.state in WAITING]
    oldest = min((each.oldest for each in found if each.oldest is not None), default=None)
    return sum(each.pushes for each in found), oldest


def ago(due_at: int, now: int) -> str:
    """When something was or is due, for people."""
    seconds = abs(now - due_at) // SECOND
    size, unit = next(
        ((size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= size),
        (1, "s"),
    )
    told = f"{seconds // size} {unit}"
    return f"due {told} ago" if due_at <= now else f"due in {told}"


def _row(found: Backlog, now: int) -> tuple[str, ...]:
    oldest = "" if found.oldest is None else ago(found.oldest, now)
    return found.gateway, str(found.state), f"{found.pushes:,}", oldest, found.reason or ""


def _put_off(backlog: Sequence[Backlog]) -> str:
    """The pushes that wait after an attempt or a delay, with a reason for each gateway."""
    return "; ".join(
        f"{found.pushes:,} of {found.gateway} again, such as: {found.reason}"
        for found in backlog
        if found.state is PushState.RETRY and found.reason
    )


def summary(backlog: Sequence[Backlog], now: int) -> str:
    """The number of waiting pushes and the time of the next attempt, in a line."""
    count, oldest = waiting(backlog)
    if oldest is None:
        return "nothing waits"
    return "; ".join(filter(None, (f"{count:,} wait, the first {ago(oldest, now)}", _put_off(backlog))))
