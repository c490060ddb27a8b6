"""Turns at asking the application, shared out fairly by the address of the device.

The turns bound how many questions run at once, and how many bytes of questions wait. This module keeps no
time: a waiting caller sets its own deadline, and may be cancelled at any moment.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import Any, Self

from pns.contracts.authority import Credentials
from pns.errors import Overloaded

WAITING_BYTES = 256 * 2**20
"""The bound of all waiting questions. A single address may take half: 20,000 pages behind a proxy fit."""

WEIGHT = 4096
"""Bytes of a question that waits, beside its headers."""


class Turns:
    """`most` turns. A free turn goes to the address with the fewest turns. Among equals the turn goes to the
    address that was served longest ago. The questions of an address are served in the order of arrival.

    Each network of IPv6 (/64) counts as an address.
    """

    def __init__(self, most: int, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self._free = most
        self._room = waiting_bytes
        self._places: dict[str, _Place] = {}
        self._lines: dict[int, OrderedDict[_Place, None]] = {}
        """The places with waiting questions, by the number of turns that a place holds."""

    def __len__(self) -> int:
        """How many addresses hold a turn or wait for one."""
        return len(self._places)

    async def take(self, credentials: Credentials) -> Turn:
        """A turn, which the caller must give back by `with`.

        Raises Overloaded when the waiting questions of the address fill as much as is free for all others.
        """
        place = self._place(_neighbourhood(credentials.address))
        if self._free:  # then nobody waits
            return self._begin(place)
        waiter = self._line_up(place, _weight(credentials))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._leave(place, waiter)
                self._tidy(place)
            else:  # the turn came in the same moment
                self._end(place)
            raise
        return Turn(partial(self._end, place))

    def _place(self, name: str) -> _Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = _Place(name)
        return place

    def _begin(self, place: _Place) -> Turn:
        self._free -= 1
        self._hold(place, 1)
        return Turn(partial(self._end, place))

    def _end(self, place: _Place) -> None:
        self._free += 1
        self._hold(place, -1)
        while self._free and self._lines:
            self._serve(next(iter(self._lines[min(self._lines)])))

    def _serve(self, place: _Place) -> None:
        waiter = next(iter(place.waiting))
        self._leave(place, waiter)
        if waiter.cancelled():
            self._tidy(place)
            return
        self._free -= 1
        self._hold(place, 1)
        waiter.set_result(None)

    # ── places ────────────────────────────────────────────────────────────────────────────────────────

    def _line_up(self, place: _Place, weight: int) -> asyncio.Future[None]:
        if place.weight + weight > self._room:
            self._tidy(place)
            raise Overloaded(
                "too many logins from this address wait for `auth.max_concurrency`; "
                "try again after `Retry-After` seconds"
            )
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place.waiting[waiter] = weight
        place.weight += weight
        self._room -= weight
        if len(place.waiting) == 1:
            self._lines.setdefault(place.held, OrderedDict())[place] = None
        return waiter

    def _leave(self, place: _Place, waiter: asyncio.Future[None]) -> None:
        weight = place.waiting.pop(waiter, None)
        if weight is None:
            return
        place.weight -= weight
        self._room += weight
        if not place.waiting:
            self._out_of_line(place)

    def _hold(self, place: _Place, change: int) -> None:
        if place.waiting:
            self._out_of_line(place)
        place.held += change
        if place.waiting:
            self._lines.setdefault(place.held, OrderedDict())[place] = None
        self._tidy(place)

    def _out_of_line(self, place: _Place) -> None:
        line = self._lines[place.held]
        del line[place]
        if not line:
            del self._lines[place.held]

    def _tidy(self, place: _Place) -> None:
        if not place.held and not place.waiting:
            self._places.pop(place.name, None)


class Turn:
    """Use as `with turn:`. The turn is given back at the end of the block, or of a call that outlasts it."""

    __slots__ = ("_call", "_give_back")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._call: asyncio.Future[Any] | None = None

    def outlasted_by(self, call: asyncio.Future[Any]) -> None:
        """Keep the turn until `call` is done, though the block ends earlier."""
        self._call = call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._call is None or self._call.done():
            self._give_back()
        else:
            self._call.add_done_callback(lambda _: self._give_back())


class _Place:
    """One address. `held` turns; `waiting`, each with its weight in bytes, whose sum is `weight`."""

    __slots__ = ("held", "name", "waiting", "weight")

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = 0
        self.weight = 0
        self.waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()


def _neighbourhood(address: str) -> str:
    """The address, or its network of 64 bits: an IPv6 subscriber has all addresses of such a network."""
    if ":" not in address:
        return address
    try:
        return IPv6Address(address).packed[:8].hex()
    except ValueError:
        return address


def _weight(credentials: Credentials) -> int:
    request = credentials.request
    headers = credentials.headers if request is None else request.scope["headers"]
    return WEIGHT + sum(len(name) + len(value) for name, value in headers)
