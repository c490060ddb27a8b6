"""The forwarder: takes the committed rows of an application's own table to PNS, and removes the rows.

A row is deleted after PNS has stored the notification, never before: a crash in between sends the row again,
with the same id. A refused row is noted in its place and holds up nobody. The forwarder never looks inside a
notification, and knows neither the database nor the way to PNS (`pns/contracts/outgoing.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pns.contracts.outgoing import (
    MOST_ROWS,
    Answer,
    Backlog,
    Intake,
    Later,
    Misdirected,
    Outgoing,
    Refusal,
    Refused,
    Row,
    Taken,
)
from pns.errors import PNSError, Unavailable
from pns.model.outgoing import errand, item
from pns.runtime.clock import Clock
from pns.runtime.one_line import printable
from pns.runtime.quiet_log import QuietLog

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How late a row may be found that nobody told of."""
LOOK_SECONDS = 60.0
"""From one count of the waiting rows to the next: a count reads an entry of an index for each row."""
FIRST_SECONDS = 0.5
MOST_SECONDS = 60.0
"""The first and the longest wait while PNS or the database is away."""
MOST_BYTES = 800_000
"""Of a body: below the default of `limits.max_body_bytes`. A smaller limit halves the body."""
MOST_PROBLEM = 500
"""Characters kept of a problem."""
STOP_SECONDS = 10.0
"""For the body under way at the end. A body that is cut off is sent again."""
CANCEL_SECONDS = 2.0


class Tally(NamedTuple):
    """Rows that a forwarder has settled since its start."""

    taken: int = 0
    refused: int = 0


class _Progress(NamedTuple):
    """The rows of one claim that need no further attempt."""

    taken: list[Row]
    refused: list[Refusal]


class Forwarder:
    """Use `start` and `stop` beside other work, or `run` as the only work. A forwarder runs once."""

    def __init__(
        self,
        outgoing: Outgoing,
        intake: Intake,
        *,
        clock: Clock,
        random: Callable[[], float] = random.random,
        on_backlog: Callable[[Backlog], object] | None = None,
    ) -> None:
        """`on_backlog` gets the number of waiting rows once a minute, while the database answers."""
        self.tally = Tally()
        self._outgoing = outgoing
        self._intake = intake
        self._clock = clock
        self._random = random
        self._on_backlog = on_backlog
        self._look_at = float("-inf")
        self._quiet = QuietLog(log, clock=clock)
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_open = self._has_delivered = False
        self._failures = 0
        self._unsettled: dict[Row, Refusal | None] = {}
        self._task: asyncio.Task[None] | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Forward in a task of its own until `stop`. Trouble is logged, and tried again."""
        if self._task is None:
            self._task = asyncio.create_task(self._go_on(), name="pns forwarder")

    async def stop(self) -> None:
        """End after the body under way. Safe to call twice, and before `start`."""
        self.end()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
                # A database that hangs may not let its thread go. The host's end must not wait for that.
                await asyncio.wait([task], timeout=CANCEL_SECONDS)

    def end(self) -> None:
        """Let `run` return after the body under way."""
        self._ending.set()
        self._news.set()

    def nudge(self) -> None:
        """New rows may be visible."""
        self._news.set()

    async def run(self) -> None:
        """Forward until `end`. Raises PNSError, before anything was delivered, where an operator must act."""
        try:
            await self._check()
            while not self._ending.is_set():
                await self._rest(await self.turn())
        finally:
            await self._close()

    async def _check(self) -> None:
        if reason := await self._intake.check():
            raise PNSError(reason)
        await self._open()

    async def _go_on(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    pause = await self.turn()
                except PNSError as error:
                    pause = self._trouble(str(error))
                except Exception:
                    log.exception("a turn of the forwarder failed")
                    pause = self._trouble("a turn of the forwarder failed")
                await self._rest(pause)
        finally:
            await self._close()

    async def _open(self) -> None:
        if not self._is_open:
            await self._outgoing.open(self.nudge)
            self._is_open = True

    async def _close(self) -> None:
        await self._outgoing.close()
        await self._intake.close()

    async def _rest(self, seconds: float) -> None:
        """Wait. A nudge ends the wait while all is well, and `end` ends every wait."""
        if seconds <= 0:
            return
        ends = self._ending if self._failures else self._news
        waiting = [asyncio.create_task(ends.wait()), asyncio.create_task(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    # ── work ──────────────────────────────────────────────────────────────────────────────────────────

    async def turn(self) -> float:
        """Claim rows, hand the rows to PNS, settle; returns the seconds until the next turn."""
        self._news.clear()
        progress, later = _Progress([], []), None
        try:
            await self._open()
            await self._look()
            rows = await self._outgoing.claim(MOST_ROWS)
            if not rows:
                return self._well(POLL_SECONDS)
            try:
                later = await self._deliver(rows, progress)
            finally:
                await self._settle(progress)
        except Unavailable as error:
            return self._trouble(str(error))
        if later is not None:
            return self._trouble(later.reason, later.retry_after)
        return self._well(0.0)

    async def _look(self) -> None:
        """Count the waiting rows, when it is time."""
        now = self._clock.monotonic()
        if self._on_backlog is None or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self._on_backlog(await self._outgoing.backlog())

    async def _deliver(self, rows: Sequence[Row], progress: _Progress) -> Later | None:
        """Hand all rows to PNS, in their order. Returns the reason, when the rest must wait."""
        waiting = [*bodies(list(self._fresh(rows, progress)))][::-1]
        while waiting and not self._ending.is_set():
            part = waiting.pop()
            answer = await self._hand_over(part)
            if isinstance(answer, Taken):
                progress.taken.extend(part)
                self._has_delivered = True
            elif isinstance(answer, Misdirected):
                return self._misdirected(answer)
            elif isinstance(answer, Later):
                return answer
            elif len(part) == 1:
                self._refuse(part[0], answer, progress)
            else:
                # PNS stores all of a body or nothing, and names one wrong row at most: halves find each.
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
        return None

    async def _hand_over(self, part: Sequence[Row]) -> Answer:
        """Hand a body over. An errand is a body of its own."""
        wanted = errand(part[0].notification)
        if wanted is None:
            return await self._intake.take(part)
        return await self._intake.run_errand(part[0].user_id, wanted)

    def _fresh(self, rows: Sequence[Row], progress: _Progress) -> Iterator[Row]:
        """The rows that must be sent. Rows of which the answer is known go to `progress`."""
        for row in rows:
            if row in self._unsettled:
                refusal = self._unsettled[row]
                progress.taken.extend([row] if refusal is None else [])
                progress.refused.extend([] if refusal is None else [refusal])
                continue
            try:
                if errand(row.notification) is None:
                    item(row.notification, notification_id=row.id)
            except ValueError as error:
                self._refuse(row, Refused(str(error)), progress)
            else:
                yield row

    def _refuse(self, row: Row, answer: Refused, progress: _Progress) -> None:
        problem = printable(answer.problem, MOST_PROBLEM)
        progress.refused.append(Refusal(row, problem))
        self._quiet.write("refused", f"PNS refuses {printable(row.id)} of pns_outgoing: {problem}")

    def _misdirected(self, answer: Misdirected) -> Later:
        """Wrong from the start is the operator's; wrong later may be a gateway between, for a moment."""
        if not self._has_delivered and self._task is None:
            raise PNSError(answer.reason)
        return Later(answer.reason)

    async def _settle(self, progress: _Progress) -> None:
        """Remove the rows from the table. Rows that stay after an error are not sent again from here."""
        taken, refused = progress
        try:
            await self._outgoing.settle(taken, refused)
        except BaseException:
            self._unsettled |= dict.fromkeys(taken) | {refusal.row: refusal for refusal in refused}
            raise
        self._unsettled.clear()
        self.tally = Tally(self.tally.taken + len(taken), self.tally.refused + len(refused))

    # ── trouble ───────────────────────────────────────────────────────────────────────────────────────

    def _well(self, pause: float) -> float:
        if self._failures:
            self._failures = 0
            log.info("the forwarder goes on")
        return pause

    def _trouble(self, reason: str, retry_after: float | None = None) -> float:
        """The seconds to wait: doubled each time, and no less than PNS asks for. A random part is added:
        forwarders that failed together do not come back together.
        """
        self._failures += 1
        self._quiet.write("trouble", f"the forwarder waits: {printable(reason, MOST_PROBLEM)}")
        doubled = min(FIRST_SECONDS * 2.0 ** min(self._failures - 1, 16), MOST_SECONDS)
        return max(doubled, retry_after or 0.0) * (1 + self._random() / 4)


def bodies(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """`rows` in parts that a body can hold, in order. An errand stands alone."""
    part, size = list[Row](), 0
    for row in rows:
        if errand(row.notification) is not None:
            yield from ([part] if part else [])
            yield [row]
            part, size = [], 0
            continue
        # JSON escapes a letter by at most six bytes, and real texts by hardly any.
        weight = len(row.notification.encode()) + len(row.user_id) + 200
        if part and size + weight > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part
