"""Fan-out: one read for all users who changed, then a hand-over to each of their connections.

Hints only mark users. While a read runs, further hints join the next read. So a burst of a thousand notifies
for a user costs two reads, and the newest count is sent. A commit of this node says what it left, so its hint
costs no read: the counts of a turn of the event loop are told together, the newest of each user.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from pns.contracts.store import State, Store
from pns.errors import Unavailable
from pns.live.askers import Askers
from pns.live.hub import Hub
from pns.live.writer import count_text
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

CHUNK = 500
"""Users in one read, and sends in one turn of the event loop."""
ANNOUNCED_SECONDS = 0.5
"""How late a node may learn of another node's announcement."""
RETRY_SECONDS = 0.5


class Fanout:
    """Tells connections their users' new counts. `changed` may be called from anywhere in the event loop."""

    def __init__(
        self, hub: Hub, store: Store, *, clock: Clock, metrics: Metrics, askers: Askers | None = None
    ) -> None:
        self._hub = hub
        self._askers = askers or Askers()
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._changed: dict[str, float] = {}
        self._telling: Collection[str] = ()
        self._known: Mapping[str, State] = {}
        # What commits of this node left, until the next turn of the event loop.
        self._left: dict[str, State] = {}
        self._left_since = 0.0
        self._handing: asyncio.Handle | None = None
        # Users whose count a comparison found changed; a hint that is merely late takes them out again.
        self._unexplained: set[str] = set()
        self._announced = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="pns fanout")

    async def stop(self) -> None:
        """Return when nothing is told any more. Safe to call twice, and before `start`."""
        task, self._task = self._task, None
        if self._handing is not None:
            self._handing.cancel()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def changed(self, user_ids: Collection[str] | None) -> None:
        """These users changed; None: any user may have. Users without a connection here cost nothing."""
        now = self._clock.monotonic()
        if user_ids is None:
            self._unexplained.clear()
        else:
            self._unexplained.difference_update(user_ids)
        for user_id in self._hub.user_ids if user_ids is None else user_ids:
            if user_id not in self._hub:
                continue
            if user_id in self._known and user_id not in self._askers:
                self._leave(user_id, self._known[user_id], now)
            else:
                self._changed.setdefault(user_id, now)
        if self._changed:
            self._wake.set()

    @contextmanager
    def knowing(self, states: Mapping[str, State]) -> Iterator[None]:
        """Within the block, hints of these users need no read. Never await within the block.

        `states`: what a commit left of these users, without revocations.
        """
        self._known = states
        try:
            yield
        finally:
            self._known = {}

    def _leave(self, user_id: str, state: State, now: float) -> None:
        before = self._left.get(user_id)
        if before is None or before[:2] < state[:2]:
            self._left[user_id] = state
        if self._handing is None:
            self._left_since = now
            self._handing = asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Tell what commits left, at most about CHUNK connections in one turn of the event loop."""
        self._handing, sent = None, 0
        waited = self._clock.monotonic() - self._left_since
        while self._left and sent < CHUNK:
            user_id = next(iter(self._left))
            sent += self._tell(user_id, self._left.pop(user_id))
            self._metrics.count_to_socket_seconds.observe(waited)
        if self._left:
            self._handing = asyncio.get_running_loop().call_soon(self._hand_over)

    async def look_for_announcements(self) -> None:
        """Read the counts of all connected users when there is a new announcement: reading a count makes an
        inbox level. A user who connects later reads the own count, so nobody is left out.
        """
        newest = await self._store.announcements.newest()
        if newest > self._announced:
            self._announced = newest
            self.changed(None)

    async def compare(self) -> None:
        """Compare every connected user with the store, to find counts that a lost hint left wrong.

        A drift is a told number of a connection that is wrong now, without a hint under way. A drift is
        counted at the next comparison: until then a late hint may explain the drift.
        """
        self._metrics.count_drift.inc(len(self._unexplained))
        self._unexplained.clear()
        users = self._hub.user_ids
        for start in range(0, len(users), CHUNK):
            chunk = [user_id for user_id in users[start : start + CHUNK] if user_id not in self._changed]
            for user_id, state in (await self._store.states(chunk)).items():
                hinted = user_id in self._changed or user_id in self._telling or user_id in self._left
                if self._tell(user_id, state) and not hinted:
                    self._unexplained.add(user_id)
            for user_id in await self._askers.tell(chunk, self._store):
                if user_id not in self._changed and user_id not in self._telling:
                    self._unexplained.add(user_id)
            await asyncio.sleep(0)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                try:
                    await self._turn()
                except Exception:  # an edge: whoever was not told is found by the next comparison
                    self._metrics.loop_errors.labels("fanout").inc()
                    log.exception("a turn of the loop failed", extra={"loop": "fanout"})

    async def _turn(self) -> None:
        marked = dict(list(self._changed.items())[:CHUNK])
        for user_id in marked:
            del self._changed[user_id]
        self._telling = marked
        try:
            await self._tell_all(marked)
        finally:
            self._telling = ()

    async def _tell_all(self, marked: dict[str, float]) -> None:
        try:
            states = await self._store.states(marked)
            await self._tell_states(states, marked)
            await self._askers.tell(marked, self._store)
        except Unavailable:
            self._changed = marked | self._changed
            await self._clock.sleep(RETRY_SECONDS)

    async def _tell_states(self, states: Mapping[str, State], marked: dict[str, float]) -> None:
        sent = 0
        for user_id, state in states.items():
            sent += self._tell(user_id, state)
            self._metrics.count_to_socket_seconds.observe(self._clock.monotonic() - marked[user_id])
            if sent >= CHUNK:
                sent = 0
                await asyncio.sleep(0)

    def _tell(self, user_id: str, state: State) -> int:
        """Hand `state` to the user's connections. Returns for how many the count was news."""
        text, news = count_text(state), 0
        for connection in self._hub.of(user_id):
            news += connection.tell(state, text)
        return news
