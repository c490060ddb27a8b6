"""Events as signed POSTs to the one URL of the settings.

No redirect is followed, no proxy is asked, no cookie is kept, and the head of an answer decides, whatever
comes of its body. The sender sets the deadline, so a peer that drips the head of an answer outlives nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from pns.adapters.receivers.signature import Signer
from pns.contracts.receiver import Letter, Reply, Taking
from pns.model.timestamp import SECOND
from pns.model.webhook import WebhookKind
from pns.runtime.http1 import Answer, ByHead, NoAnswer, Place, Pool
from pns.runtime.http1.dial import Dial, system_trust
from pns.runtime.http1.place import written
from pns.runtime.retry_after import retry_after
from pns.settings import WebhookSettings

_KEPT = 8
_KEEP_SECONDS = 1.5
"""Below what common servers allow, so that an event seldom meets a connection being closed."""
_REDIRECT = "a redirect, which PNS does not follow: set webhook.url to the address where the events are taken"


class WebhookURL:
    """See pns.contracts.receiver.Receiver."""

    def __init__(self, settings: WebhookSettings, *, secret: Callable[[], Awaitable[str]]) -> None:
        """`secret`: the secret of the settings, or of the store."""
        # Also events from before `webhook.events` was changed.
        self.kinds = frozenset(WebhookKind)
        self._place = Place.parse(settings.url)
        self._secret = secret
        self._signer: Signer | None = None
        self._pool: Pool | None = None

    async def start(self) -> None:
        self._signer = Signer(await self._secret())
        dial = Dial(system_trust() if self._place.tls else None)
        self._pool = Pool(dial, idle=_KEPT, keep_seconds=_KEEP_SECONDS)

    async def stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    async def take(self, letter: Letter) -> Reply:
        assert self._pool is not None, "started"
        assert self._signer is not None, "started"
        request = self._request(letter, self._signer)
        try:
            answer = await self._pool.exchange(self._place, request, most=0, by_head=ByHead())
        except NoAnswer as error:
            return Reply(Taking.AGAIN, f"no answer ({error})")
        return _reply(answer, letter.now)

    def _request(self, letter: Letter, signer: Signer) -> bytes:
        body = msgspec.json.encode(letter.body)
        headers = {
            "content-type": "application/json",
            "user-agent": "PNS",
            **signer.headers(letter.webhook_id, body, seconds=letter.now // SECOND),
        }
        return written("POST", self._place, headers, body=body)


def _reply(answer: Answer, now: int) -> Reply:
    if 200 <= answer.status < 300:
        return Reply(Taking.TAKEN)
    if answer.status == 410:
        return Reply(Taking.GONE, "410 Gone")
    reason = f"{answer.status}: {_REDIRECT}" if 300 <= answer.status < 400 else f"{answer.status}"
    return Reply(Taking.AGAIN, reason, retry_after(answer.header("retry-after"), now))
