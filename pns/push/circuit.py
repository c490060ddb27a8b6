"""How much may be sent to a service, and when: circuits, a pace, room for each, a wait after failures.

Pure; they read no clock. `now` is monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5
"""So many in a row, and the circuit opens."""
FIRST_SECONDS = 1.0
MOST_SECONDS = 300.0
MOST_RETRY_AFTER = 3600.0
"""A service may ask to be left alone for an hour; then it is tried again all the same, with one push."""

MOST_CIRCUITS = 10_000

RETRY_SECONDS = 2.0
MOST_RETRY_SECONDS = 600.0
"""With half of it more a quarter of an hour, as Apple advises after an error of its servers."""


class Circuit:
    """Open after several failures in a row; then one trial at a time, until one succeeds."""

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.reason = ""
        """Of the newest failure."""
        self._trials = 0
        self._open_until = 0.0
        self._trying_until = 0.0

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; 0 for now."""
        if not self.is_open:
            return 0.0
        return max(0.0, max(self._open_until, self._trying_until) - now)

    def most(self, room: int) -> int:
        """How many of `room` may be sent at once: one while it is a trial."""
        return min(room, 1) if self.is_open else room

    def try_until(self, until: float) -> bool:
        """Something is sent; returns whether it is a trial. Then nothing else is, at most until `until`."""
        if self.is_open:
            self._trying_until = until
        return self.is_open

    def succeeded(self) -> bool:
        """Returns whether that closed it."""
        was_open = self.is_open
        self.failures, self.reason, self._trials = 0, "", 0
        self._open_until = self._trying_until = 0.0
        return was_open

    def undecided(self, *, trial: bool) -> None:
        """What was sent said nothing of the service; if it was a trial, another may follow at once."""
        if trial:
            self._trying_until = 0.0

    def failed(
        self, now: float, reason: str, *, retry_after: float | None = None, trial: bool = False
    ) -> bool:
        """Returns whether that opened it.

        A trial that fails doubles the wait. What was under way when it opened does not: all of that is one
        trouble, however much there was.
        """
        self.failures += 1
        self.reason = reason
        wait = min(retry_after or 0.0, MOST_RETRY_AFTER)
        if trial:
            self._trying_until = 0.0
            self._trials += 1
        if trial or self.failures == FAILURES:
            wait = max(wait, min(FIRST_SECONDS * 2 ** min(self._trials, 16), MOST_SECONDS))
        if self.is_open:
            self._open_until = max(self._open_until, now + wait)
        return self.failures == FAILURES


class Circuits:
    """A circuit for each service of a gateway, by name; "" is the gateway's own.

    Clients may name services: of more than `most`, those that failed of late are kept.
    """

    def __init__(self, most: int = MOST_CIRCUITS) -> None:
        self._most = most
        self._by_name = {"": Circuit()}

    def __getitem__(self, name: str) -> Circuit:
        if name not in self._by_name and len(self._by_name) >= self._most:
            own = self._by_name.pop("")
            failing = [(name, each) for name, each in self._by_name.items() if each.failures]
            self._by_name = {"": own, **dict(failing[-self._most // 2 :])}
        return self._by_name.setdefault(name, Circuit())

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def open(self) -> int:
        """How many services are not asked now."""
        return sum(each.is_open for each in self._by_name.values())


class Room:
    """At most `most` under way at once for each of many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: dict[str, tuple[int, float]] = {}

    def wait(self, name: str, now: float) -> float:
        """0 where there is room, else seconds: as long as it has been without a pause, but not none."""
        count, since = self._under_way.get(name, (0, now))
        return 0.0 if count < self._most else max(now - since, RETRY_SECONDS)

    def enter(self, name: str, now: float) -> None:
        count, since = self._under_way.get(name, (0, now))
        self._under_way[name] = count + 1, since

    def leave(self, name: str) -> None:
        count, since = self._under_way.pop(name)
        if count > 1:
            self._under_way[name] = count - 1, since


class Pace:
    """At most `rate` a second, and a tenth of a second's worth at once."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._ahead = max(0.1, self._interval)
        self._even = 0.0

    def most(self, now: float) -> int:
        """How many may go now."""
        return max(0, int((now + self._ahead - max(self._even, now)) / self._interval + 1e-6))

    def took(self, count: int, now: float) -> None:
        """So many went."""
        self._even = max(self._even, now) + count * self._interval

    def wait(self, now: float) -> float:
        """Seconds until one may go; 0 for now."""
        return max(0.0, self._even + self._interval - self._ahead - now)


def retry_seconds(
    attempt: int, *, retry_after: float | None, random: Callable[[], float], first: float = RETRY_SECONDS
) -> float:
    """How long to wait after the failure of `attempt`, from 1.

    Doubles, up to MOST_RETRY_SECONDS, with up to half of it more, so that those that failed together do not
    come back together; while it doubles, no wait is shorter than the one before. What the service asked for
    goes before it, unless that is shorter than any wait.
    """
    if retry_after is not None and retry_after >= first:
        return retry_after * (1 + random() / 10)
    doubled = first * 2.0 ** min(attempt - 1, 30)
    return min(doubled, MOST_RETRY_SECONDS) * (1 + random() / 2)
