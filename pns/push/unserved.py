"""Pushes of gateways that are configured nowhere: put off, so that an operator reads why, until they expire.

No node knows what others have configured. But a gateway that somebody serves does not stand still: its first
in line changes, or how many there are in each state, since they are sent, or tried, or put off.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from pns.contracts.outbox import Claim, Outbox, Settlement
from pns.model.push import PushState
from pns.runtime.clock import Clock

log = logging.getLogger(__name__)

STRAY_SECONDS = 60.0
"""From one look to the next; a stray is put off as long."""
STILL_SECONDS = 600.0
"""So long nothing of a gateway moves if nobody serves it: longer than a service in trouble is left alone."""
STRAYS = 500


class Strays:
    """`tick` looks for them; `mine` are the gateways that this node serves."""

    def __init__(self, outbox: Outbox, mine: Collection[str], clock: Clock) -> None:
        self._outbox = outbox
        self._mine = mine
        self._clock = clock
        self._still: dict[str, tuple[object, float]] = {}
        """How each looked at the last look, and since when."""
        self._told: set[str] = set()

    async def tick(self) -> None:
        due = [name for name, at in (await self._outbox.next_due()).items() if at <= self._clock.now()]
        looks = await self._looks([name for name in due if name not in self._mine])
        now = self._clock.monotonic()
        before, self._still = self._still, {name: (look, now) for name, look in looks.items()}
        for name, look in looks.items():
            seen, since = before.get(name, (None, now))
            if seen == look:
                self._still[name] = look, since
                if now - since >= STILL_SECONDS:
                    self._tell(name)
                    while await self._put_off(name) == STRAYS:
                        await self._clock.sleep(0.05)

    async def _looks(self, names: Collection[str]) -> dict[str, object]:
        if not names:  # the backlog is all of the outbox, and mostly nobody's concern
            return {}
        backlog = await self._outbox.backlog()
        return {name: [each for each in backlog if each.gateway == name] for name in names}

    def _tell(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            log.warning(
                "pushes wait for a gateway that no node serves: set [push.%s], or move its devices by"
                " `pns devices regateway`",
                name,
            )

    async def _put_off(self, name: str) -> int:
        later = self._clock.now() + round(STRAY_SECONDS * 1_000_000)
        strays = await self._outbox.claim(Claim(name, STRAYS, later, offline_only=False))
        reason = f"[push.{name}] is not set"
        await self._outbox.settle(
            [
                Settlement(push, PushState.RETRY, reason, due_at=min(later, push.expires_at), sent=False)
                for push in strays
            ]
        )
        return len(strays)
