"""Tells the log once of a device cookie which does not come back, or has the signature of another PNS.

A wrong path, a proxy that drops headers, or a second PNS on the host: browsers and servers say nothing, and
every request is a new device.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import NamedTuple

from pns.runtime.clock import Clock
from pns.runtime.one_line import printable

log = logging.getLogger(__name__)

IN_A_ROW = 3
"""This number of cookies in a row, set and never brought, is a fault. Two tabs of a new browser get two."""
WITHIN_SECONDS = 600.0
MOST_BROWSERS = 1000


class Browser(NamedTuple):
    """The marks of a browser without a cookie."""

    user_id: str
    address: str
    agent: bytes


class _Lost(NamedTuple):
    times: int
    since: float


class CookieWatch:
    """Counts the lost cookies of each browser."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lost: OrderedDict[Browser, _Lost] = OrderedDict()
        self._told: set[str] = set()

    def came_back(self, browser: Browser) -> None:
        """The browser has brought its cookie."""
        self._lost.pop(browser, None)

    def is_lost(self, browser: Browser, *, path: str, foreign: bool) -> None:
        """A browser without a cookie gets a cookie for `path`. `foreign`: the browser has brought a cookie of
        the same name with the signature of another PNS.
        """
        now = self._clock.monotonic()
        known = self._lost.pop(browser, None)
        if known is None or now - known.since >= WITHIN_SECONDS:
            known = _Lost(0, now)
        self._lost[browser] = lost = known._replace(times=known.times + 1)
        if len(self._lost) > MOST_BROWSERS:
            self._lost.popitem(last=False)
        if lost.times >= IN_A_ROW:
            self._tell(
                _FOREIGN if foreign else f"the device cookie that was set for {printable(path, 200)} {_GONE}"
            )

    def _tell(self, line: str) -> None:
        if line not in self._told and len(self._told) < IN_A_ROW:
            self._told.add(line)
            log.warning(line)


_GONE = (
    "does not come back: every request is a new device. If a proxy takes a prefix off the path, tell the "
    'server the prefix (uvicorn --root-path /api, or FastAPI(root_path="/api")); else something on the way '
    "drops Cookie or Set-Cookie, or the client keeps no cookies. `pns doctor --url … --cookie …` says which"
)
_FOREIGN = (
    "a device cookie comes back that this PNS did not sign: every request is a new device. Another PNS on "
    "this host sets a cookie of the same name, since browsers do not tell ports apart: give each PNS a "
    "session.cookie_name of its own; or the nodes of one PNS differ in session.secret"
)
