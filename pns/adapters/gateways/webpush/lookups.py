"""Names looked up in threads of their own, shared so that slow name servers hold up only their own domain.

Nobody can end a look-up: an abandoned look-up keeps its thread until the system gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from weakref import WeakValueDictionary

from pns.runtime.clock import Clock

LOOKUP_SECONDS = 5.0
PLACE_SECONDS = 0.25
"""For a place among the look-ups of a domain. Most look-ups take less, so the hosts of a service follow each
other; waiting behind slow look-ups has no point.
"""
MOST_OF_DOMAIN = 2
SLOW_SECONDS = 30.0
"""How long a slow name is not looked up again."""
MOST_SLOW = 10_000

Resolve = Callable[[str, int], list[str]]


class Slow(Exception):
    """The name itself takes too long, now or a short while ago."""


class Crowded(Exception):
    """Look-ups of other names were in the way: nothing is known of this name."""


class Lookups:
    """Calls `resolve` in at most `threads` threads, MOST_OF_DOMAIN of them for the names of a domain."""

    def __init__(self, resolve: Resolve, *, threads: int, clock: Clock) -> None:
        self._resolve = resolve
        self._clock = clock
        # Waited for is here and not in the executor's queue: what is there has begun.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webpush-dns")
        self._free = asyncio.Semaphore(threads)
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}
        self._slow_until: dict[str, float] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The result of `resolve`. Callers that ask for `host` at the same time share a look-up.

        Raises the errors of `resolve`, Slow and Crowded, and RuntimeError after `close`.
        """
        if self._slow_until.get(host, 0.0) > self._clock.monotonic():
            raise Slow
        under_way = self._under_way.get(host) or await self._begin(host, port)
        await asyncio.wait([under_way], timeout=LOOKUP_SECONDS)
        if not under_way.done():
            self._remember(host)
            raise Slow
        self._slow_until.pop(host, None)
        return under_way.result()

    def close(self) -> None:
        """Begin nothing more. Safe to call twice."""
        self._threads.shutdown(wait=False)

    async def _begin(self, host: str, port: int) -> asyncio.Future[list[str]]:
        place = self._places.setdefault(_domain(host), asyncio.Semaphore(MOST_OF_DOMAIN))
        with ExitStack() as taken:
            for room, seconds in ((place, PLACE_SECONDS), (self._free, LOOKUP_SECONDS)):
                try:
                    async with asyncio.timeout(seconds):
                        await room.acquire()
                except TimeoutError:
                    raise (Slow if host in self._slow_until else Crowded) from None
                taken.callback(room.release)
            if host not in self._under_way:  # else somebody has begun while this one waited
                look_up = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
                self._under_way[host] = look_up
                look_up.add_done_callback(partial(self._ended, host, taken.pop_all()))
            return self._under_way[host]

    def _ended(self, host: str, taken: ExitStack, look_up: asyncio.Future[list[str]]) -> None:
        del self._under_way[host]
        taken.close()
        look_up.exception()  # perhaps nobody waits for it any more

    def _remember(self, host: str) -> None:
        self._slow_until.pop(host, None)
        self._slow_until[host] = self._clock.monotonic() + SLOW_SECONDS
        if len(self._slow_until) > MOST_SLOW:
            del self._slow_until[next(iter(self._slow_until))]


def _domain(host: str) -> str:
    """The last two labels. Where others register below these, as in co.uk, they share their threads."""
    return ".".join(host.rstrip(".").split(".")[-2:])
