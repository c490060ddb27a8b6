"""The kept logins: a bounded map with an age of the application's yeses.

The key is a digest of the request, so that memory holds no cookie and no password. A no and a doubt are never
kept.
"""

from __future__ import annotations

from collections import OrderedDict

from pns.contracts.authority import Login
from pns.runtime.clock import Clock

_MOST = 10_000


class LoginCache:
    """Logins by key, each for `seconds` of monotonic time; over 10,000, the longest unused goes first."""

    def __init__(self, seconds: float, *, clock: Clock, most: int = _MOST) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[bytes, tuple[Login, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, *, not_before: int) -> Login | None:
        """The login kept under `key`, if it is young enough and its revocation at least `not_before`."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        login, until = kept
        if self._clock.monotonic() >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return login if login.revocation >= not_before else None

    def put(self, key: bytes, login: Login) -> None:
        if self._seconds <= 0:
            return
        self._kept[key] = login, self._clock.monotonic() + self._seconds
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, key: bytes) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()
