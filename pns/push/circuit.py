"""How much may be sent to a service, and when: circuits, a pace, a concurrency, a wait after failures.

Pure; they read no clock. `now` is monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5
"""After this many failures in a row the circuit opens."""
FIRST_SECONDS = 1.0
MOST_SECONDS = 300.0
MOST_RETRY_AFTER = 3600.0
"""The longest pause that a service can ask for. After an hour one push tries the service all the same."""

MOST_CIRCUITS = 10_000

RETRY_SECONDS = 2.0
DOUBT_SECONDS = 60.0
"""The first wait of a push whose service refuses its device, perhaps for a setting of ours: an operator has
to act, and nobody else waits meanwhile."""
MOST_RETRY_SECONDS = 600.0
"""A random half more makes a quarter of an hour, as Apple advises after an error of Apple's servers."""


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
        """Seconds until a push may be sent; 0 for now."""
        if not self.is_open:
            return 0.0
        return max(0.0, max(self._open_until, self._trying_until) - now)

    def most(self, room: int) -> int:
        """How many of `room` pushes may be sent at once: one while the circuit is open, as a trial."""
        return min(room, 1) if self.is_open else room

    def try_until(self, until: float) -> bool:
        """A push is sent. Returns whether the push is a trial: no other push may go before `until` then."""
        if self.is_open:
            self._trying_until = until
        return self.is_open

    def succeeded(self) -> bool:
        """The service took a push. Returns whether the circuit was open, and is closed now."""
        was_open = self.is_open
        self.failures, self.reason, self._trials = 0, "", 0
        self._open_until = self._trying_until = 0.0
        return was_open

    def undecided(self, *, trial: bool) -> None:
        """The answer says nothing of the service. After a trial, another trial may follow at once."""
        if trial:
            self._trying_until = 0.0

    def failed(
        self, now: float, reason: str, *, retry_after: float | None = None, trial: bool = False
    ) -> bool:
        """The service failed. Returns whether the circuit opened now.

        A failed trial doubles the wait. Pushes that were under way when the circuit opened do not: all of
        them are one trouble.
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

    Clients may name services. Where the names are more than `most`, the circuits of recent failures stay.
    """

    def __init__(self, most: int = MOST_CIRCUITS) -> None:
        self._most = most
        self._by_name = {"": Circuit()}

    def take(self, name: str) -> Circuit:
        """The circuit of a service. A new name gets a new circuit, and may cost others theirs."""
        if name not in self._by_name and len(self._by_name) >= self._most:
            own = self._by_name.pop("")
            failing = [(name, each) for name, each in self._by_name.items() if each.failures]
            self._by_name = {"": own, **dict(failing[-self._most // 2 :])}
        return self._by_name.setdefault(name, Circuit())

    def found(self, name: str) -> Circuit | None:
        """The circuit of a name that had trouble, or None."""
        return self._by_name.get(name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def open(self) -> int:
        """The number of services with an open circuit."""
        return sum(each.is_open for each in self._by_name.values())


class Concurrency:
    """At most `most` pushes under way at once for each name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: dict[str, tuple[int, float]] = {}

    def wait(self, name: str, now: float) -> float:
        """Seconds until the next attempt; 0 while fewer than `most` are under way.

        The wait is as long as the name has been busy without a pause, at least RETRY_SECONDS.
        """
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
    """At most `rate` pushes a second, and at once the pushes of a tenth of a second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._ahead = max(0.1, self._interval)
        self._even = 0.0

    def most(self, now: float) -> int:
        """How many pushes may go now."""
        return max(0, int((now + self._ahead - max(self._even, now)) / self._interval + 1e-6))

    def took(self, count: int, now: float) -> None:
        """`count` pushes went."""
        self._even = max(self._even, now) + count * self._interval

    def wait(self, now: float) -> float:
        """Seconds until a push may go; 0 for now."""
        return max(0.0, self._even + self._interval - self._ahead - now)


def retry_seconds(
    attempt: int, *, retry_after: float | None, random: Callable[[], float], first: float = RETRY_SECONDS
) -> float:
    """Seconds to wait after the failure of `attempt`, which counts from 1.

    The wait doubles, up to MOST_RETRY_SECONDS. A random part, at most half of the wait, is added: pushes that
    failed together do not come back together. While the wait doubles, no wait is shorter than the last.
    `retry_after` of the service goes first, unless `first` is longer.
    """
    if retry_after is not None and retry_after >= first:
        return retry_after * (1 + random() / 10)
    doubled = first * 2.0 ** min(attempt - 1, 30)
    return min(doubled, MOST_RETRY_SECONDS) * (1 + random() / 2)
