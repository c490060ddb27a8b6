"""The pace of the spreader: how many users the next step may reach, and whether the spreader pauses after it.

A step is one commit, and other writes wait for the commit. So a step takes little time while others write,
and may take longer while nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable

from pns.runtime.clock import Clock

FIRST_USERS = 100
STEP_SECONDS = 0.005
"""About how long a step should take."""
QUIET_SECONDS = 0.02
"""The same for steps of copies while nobody else writes."""
BUSY_SECONDS = 0.002
"""The same for steps of copies while others write: each of their writes may wait for a step."""
MOST_GROWTH = 3
"""While nobody else writes, a step that was far too short is followed by one with so many times the users."""
BUSY_FOR = 0.5
"""Others write if two of their writes came within so many seconds. A node alone writes once a second."""


class Pace:
    """A pace for steps of any kind. `users`: the fewest and the most users of a step."""

    def __init__(self, users: range) -> None:
        self._range = users
        self._users = min(users[-1], FIRST_USERS)

    def begin(self, *, alone: bool) -> None:
        """A turn begins. `alone`: no other process writes to the store."""

    @property
    def busy(self) -> bool:
        """Whether others may wait."""
        return True

    @property
    def bound(self) -> float:
        """About how many seconds a step should take."""
        return STEP_SECONDS

    @property
    def users(self) -> int:
        """How many users the next step may reach."""
        return self._users

    def note(self, users: int, seconds: float) -> None:
        """A step reached so many users within so many seconds."""
        self._users = self._fitting(self._users, users, seconds=seconds, bound=self.bound)

    def _fitting(self, most: int, users: int, *, seconds: float, bound: float) -> int:
        """How many users fit into `bound`, after a step of at most `most`. A step that reached fewer says
        nothing against `most`, unless the step was slow.
        """
        if seconds < bound:
            wanted = max(users * 3 // 2, most)
        else:
            wanted = max(int(users * bound / seconds), users // 4)
        return min(max(wanted, self._range[0]), self._range[-1])


class Attentive(Pace):
    """A pace for steps of copies. `others`: how many writes of others this process has taken so far.

    Steps beside others and steps alone have a size each. So the first step after others began is a small one,
    and the first step after others ended is a large one.
    """

    def __init__(self, users: range, *, others: Callable[[], int], clock: Clock) -> None:
        super().__init__(users)
        self._others = others
        self._clock = clock
        self._alone = True
        self._writes = 0
        self._last = self._before = float("-inf")
        self._beside = self._users
        self._is_beside = False

    def begin(self, *, alone: bool) -> None:
        self._alone, self._writes = alone, self._others()

    @property
    def busy(self) -> bool:
        now, writes = self._clock.monotonic(), self._others()
        if writes > self._writes:
            self._before = now if writes > self._writes + 1 else self._last
            self._last, self._writes = now, writes
        return not self._alone or now - self._before <= BUSY_FOR

    @property
    def bound(self) -> float:
        return BUSY_SECONDS if self.busy else QUIET_SECONDS

    @property
    def users(self) -> int:
        self._is_beside = self.busy
        return self._beside if self._is_beside else self._users

    def note(self, users: int, seconds: float) -> None:
        """As of Pace. The step was one beside others if others wrote when `users` was read."""
        if self._is_beside:
            self._beside = self._fitting(self._beside, users, seconds=seconds, bound=BUSY_SECONDS)
        else:
            grown = users * MOST_GROWTH if seconds * MOST_GROWTH < QUIET_SECONDS else 0
            self._users = self._fitting(max(self._users, grown), users, seconds=seconds, bound=QUIET_SECONDS)
            self._beside = min(self._beside, self._users)
