"""Pushes of gateways that no node serves: put off with a reason for the operator, until the pushes expire.

No node knows the settings of the others. If a gateway's backlog does not change for STILL_SECONDS, no node
serves the gateway: a node that serves it sends, retries or puts off its pushes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from pns.contracts.outbox import Claim, Outbox, Settlement
from pns.model.push import PushState
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock

log = logging.getLogger(__name__)

UNSERVED_SECONDS = 60.0
"""From one look to the next. An unserved push is put off for as long."""
STILL_SECONDS = 600.0
"""Longer than the longest pause of a service in trouble."""
PUT_OFF = 500
"""Pushes of one commit."""
PAUSE_SECONDS = 0.05
"""Between two commits, for the writes of others."""


class Unserved:
    """`tick` looks for unserved pushes. `mine`: the gateways that this node serves."""

    def __init__(self, outbox: Outbox, mine: Collection[str], clock: Clock) -> None:
        self._outbox = outbox
        self._mine = mine
        self._clock = clock
        self._still: dict[str, tuple[object, float]] = {}
        """The backlog of each gateway at the last look, and the time since when the backlog is the same."""
        self._warned: set[str] = set()

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
                    self._warn(name)
                    while await self._put_off(name) == PUT_OFF:
                        await self._clock.sleep(PAUSE_SECONDS)

    async def _looks(self, names: Collection[str]) -> dict[str, object]:
        if not names:  # reading the backlog reads all of the outbox
            return {}
        backlog = await self._outbox.backlog()
        return {name: [each for each in backlog if each.gateway == name] for name in names}

    def _warn(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning(
                "pushes wait for a gateway that no node serves: set [push.%s], or move its devices by"
                " `pns devices regateway`",
                name,
            )

    async def _put_off(self, name: str) -> int:
        later = self._clock.now() + round(UNSERVED_SECONDS * SECOND)
        unserved = await self._outbox.claim(Claim(name, PUT_OFF, later, offline_only=False))
        reason = f"[push.{name}] is not set"
        await self._outbox.settle(
            [
                Settlement(push, PushState.RETRY, reason, due_at=min(later, push.expires_at), sent=False)
                for push in unserved
            ]
        )
        return len(unserved)
