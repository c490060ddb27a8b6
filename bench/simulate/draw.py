"""The same fleet drawn by lot: users on nodes, channels by the bus's own hash, and changes of random users.

Of a large fleet a sample of channels is drawn, with everybody who belongs to them: what happens on one
channel has nothing to do with the others, so the sample's figures are the fleet's. The same seed draws the
same.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from zlib import crc32

from bench.simulate.fleet import DEVICES, TURN_SECONDS, Fleet
from bench.simulate.layout import EACH, ONE, Traffic

USERS = 100_000
"""About how many users are placed."""
CHANGES = 50_000
"""How many changes are drawn."""


class Draw:
    """One fleet, placed.

    `ids`: of all its users. By default they count up, as those of many applications do, on which the hash is
    less even than the formulas take it to be.
    """

    def __init__(self, fleet: Fleet, seed: int, *, ids: Iterable[str] | None = None) -> None:
        self._fleet = fleet
        self._seed = seed
        random = Random(f"{seed} places {fleet}")
        self._stride = _stride(fleet.users)
        hashes = map(crc32, map(str.encode, ids or map(str, range(fleet.users))))
        self._hashes = [one for one in hashes if not one % self._stride]
        self._places = [_place(fleet.nodes, random) for _ in self._hashes]
        self._drawn: dict[int | None, Traffic] = {}

    def traffic(self, channels: int | None) -> Traffic:
        """What a second's changes of the whole fleet cost with so many channels."""
        if channels not in self._drawn:
            self._drawn[channels] = self._traffic(channels)
        return self._drawn[channels]

    def _traffic(self, channels: int | None) -> Traffic:
        random = Random(f"{self._seed} changes {self._fleet} {channels}")
        listeners = self._listeners(channels)
        heard = sum(self._heard(channels, listeners, random) for _ in range(CHANGES)) / CHANGES
        published = self._fleet.changes / (self._changes_in_turn(random) if channels == ONE else 1)
        kept = sum(map(len, listeners.values()))
        return Traffic(published, published * heard, kept * self._scale(channels))

    def _listeners(self, channels: int | None) -> dict[int, set[int]]:
        """The nodes that listen to each channel."""
        found: dict[int, set[int]] = {}
        for number, places in enumerate(self._places):
            found.setdefault(self._channel(number, channels), set()).update(places)
        return found

    def _channel(self, number: int, channels: int | None) -> int:
        return number if channels is EACH else self._hashes[number] % channels

    def _heard(self, channels: int | None, listeners: dict[int, set[int]], random: Random) -> int:
        """How many nodes hear one change, of somebody who is connected or not."""
        if random.random() < self._fleet.share_connected:
            channel = self._channel(int(random.random() * len(self._places)), channels)
        elif channels is EACH:
            return 0
        else:
            drawn_from = max(1, channels // self._stride)
            channel = int(random.random() * drawn_from) * self._stride % channels
        return len(listeners.get(channel, ()))

    def _changes_in_turn(self, random: Random) -> float:
        """Changes that share a message, on a node that says everything to everybody."""
        rate = self._fleet.changes / self._fleet.nodes
        turns, free, coming = 0, 0.0, random.expovariate(rate)
        drawn = 0
        while drawn < CHANGES:
            begin = max(free, coming)
            while coming <= begin:
                drawn += 1
                coming += random.expovariate(rate)
            free = begin + TURN_SECONDS
            turns += 1
        return drawn / turns

    def _scale(self, channels: int | None) -> float:
        """The fleet's channels, or users, for each of the sample."""
        if channels is EACH:
            return self._fleet.users / len(self._places)
        return min(self._stride, channels)


def _stride(users: int) -> int:
    """One of how many channels is drawn; a power of two, so that the same users are drawn for any number."""
    stride = 1
    while users / stride > USERS:
        stride *= 2
    return stride


def _place(nodes: int, random: Random) -> Iterable[int]:
    """The nodes of one user."""
    return {int(random.random() * nodes) for _ in range(random.choice(DEVICES))}
