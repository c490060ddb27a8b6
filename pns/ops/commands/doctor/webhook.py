"""Do webhooks work: is a signed example taken, a forged one refused, and does any event wait too long?"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence

from msgspec.structs import replace

from pns.compose import make_receiver
from pns.contracts.receiver import Reply, Taking
from pns.contracts.store import Store
from pns.contracts.webhooks import WebhookBacklog
from pns.errors import PNSError, SettingsError
from pns.model.push import PushState
from pns.model.timestamp import SECOND
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.status import ago
from pns.ops.commands.webhook.trial import try_example
from pns.runtime.clock import Clock, SystemClock
from pns.settings import Settings

WEBHOOK = "webhook"
SIGNED = "webhook.url with a signed example"
FORGED = "webhook.url with a forged signature"
EVENTS = "events for the application"
OVERDUE_SECONDS = 300


async def check_webhook(settings: Settings) -> AsyncIterator[Finding]:
    """Send an example as `pns webhook test` does, also with a wrong secret, and look at waiting events."""
    clock = SystemClock()
    try:
        async with store_beside(settings, clock=clock) as store:
            yield _set(settings)
            if settings.webhook.url and settings.webhook.events:
                signed = await _try(settings, store, clock)
                yield _judge(signed)
                if signed.taking is Taking.TAKEN:
                    yield _judge_forged(await _try(_forging(settings), store, clock))
            yield _waiting(settings, await store.webhooks.backlog(), clock.now())
    except SettingsError as error:
        yield bad(WEBHOOK, str(error), "correct it: with it, `pns serve` does not start")
    except PNSError:
        yield not_asked(WEBHOOK, "mend the store first: the secret and what waits are there")


def _set(settings: Settings) -> Finding:
    webhook = settings.webhook
    if not webhook.url:
        return good(WEBHOOK, _OFF)
    if not webhook.events:
        return bad(WEBHOOK, "webhook.events is empty, so nothing is told", 'set webhook.events = ["unseen"]')
    secret = "in webhook.secret" if webhook.secret else "made by PNS: `pns webhook secret` prints it"
    links = settings.server.public_url or "none, because server.public_url is not set"
    place = webhook.url.partition("?")[0]
    return good(WEBHOOK, f"{', '.join(webhook.events)} to {place}; secret {secret}; links: {links}")


async def _try(settings: Settings, store: Store, clock: Clock) -> Reply:
    receiver = make_receiver(settings, store, clock=clock)
    assert receiver is not None, "webhook.url is set"
    await receiver.start()
    try:
        return await try_example(receiver, clock, settings.webhook.timeout_seconds)
    finally:
        await receiver.stop()


def _forging(settings: Settings) -> Settings:
    """The settings with a wrong secret."""
    secret = f"whsec_{b64encode(b'not the secret of this PNS').decode()}"
    return replace(settings, webhook=replace(settings.webhook, secret=secret))


def _judge(reply: Reply) -> Finding:
    if reply.taking is Taking.TAKEN:
        return good(SIGNED, "it takes it")
    if reply.taking is Taking.GONE:
        return bad(SIGNED, "410: a node that hears this tells nothing until its next start", _GONE)
    return bad(SIGNED, reply.reason, _remedy(reply.reason))


def _remedy(reason: str) -> str:
    status = reason.partition(":")[0]
    if status.isdigit():
        code = int(status)
        return _REDIRECT if 300 <= code < 400 else _REMEDIES.get(code, _LOG)
    if "within" in reason:
        return _SLOW
    text = reason.lower()
    if "certificate" in text or "ssl" in text:
        return "its certificate is not trusted here, or it speaks no https: correct webhook.url, or trust it"
    if "gaierror" in text:
        return "the host's name is not known here: correct webhook.url as seen from this machine or container"
    return "start the application, or correct webhook.url as seen from this machine or container"


def _judge_forged(reply: Reply) -> Finding:
    if reply.taking is Taking.TAKEN:
        return bad(FORGED, "it takes what PNS did not sign", _UNVERIFIED)
    return good(FORGED, f"it refuses it ({reply.reason})")


def _waiting(settings: Settings, backlog: Sequence[WebhookBacklog], now: int) -> Finding:
    failed = sum(found.events for found in backlog if found.state is PushState.FAILED)
    waits = [found for found in backlog if found.state is not PushState.FAILED]
    oldest = min((found.oldest for found in waits if found.oldest is not None), default=None)
    reason = next((f", such as: {found.reason}" for found in [*waits, *backlog] if found.reason), "")
    told = f"{sum(found.events for found in waits):,} wait, {failed:,} failed{reason}"
    if oldest is None or now - oldest <= OVERDUE_SECONDS * SECOND:
        return good(EVENTS, told)
    told = f"{told}; the first {ago(oldest, now)}"
    return bad(EVENTS, told, _OVERDUE) if settings.webhook.url else not_asked(EVENTS, _NOWHERE, told)


_OFF = "off in these settings: webhook.url is not set, so the application is told nothing"
_GONE = "let the application answer 2xx, or take webhook.url out; then start the nodes that heard a 410 anew"
_REDIRECT = "PNS follows no redirect: set webhook.url to the address where the events are taken"
_LOG = "it must answer 2xx to a signed event; the application's log says why it does not"
_KEY = (
    "verify with the secret that `pns webhook secret` prints, over the bytes of the body as they came; and "
    "let nothing ask for a login or a CSRF token before"
)
_REMEDIES = {
    **dict.fromkeys((400, 401, 403), _KEY),
    **dict.fromkeys((404, 405), "correct the path in webhook.url; it must take a POST"),
    413: "the application takes no body as large as this: an event may have 1 MiB",
    429: "the application limits how often one may ask: except PNS's address",
    **dict.fromkeys((502, 503, 504), "a proxy answers there, but does not reach the application: start it"),
}
_SLOW = "answer first and work afterwards, or raise webhook.timeout_seconds"
_UNVERIFIED = (
    "anybody who finds the address can make it write mails: verify `webhook-signature` with a library of "
    "Standard Webhooks and the secret that `pns webhook secret` prints, and answer 401 to all else"
)
_OVERDUE = (
    "is a node running whose role is all or push? After a 410 it tells nothing until its next start, and "
    "/readyz is degraded; else its log says `webhooks wait`, and why"
)
_NOWHERE = (
    "set webhook.url, or start the application whose PNS has functions for them (`PNS(…, on_unseen=…)`)"
)
