"""How hints travel: a layout of the bus, and its messages by formula.

A channel is what a broker delivers by. A node listens to the channels of the users that it holds, so a hint
reaches the nodes concerned, and nodes that hold another user of the same channel, which look and do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

from bench.simulate.fleet import Fleet

ONE = 1
"""Everybody's channel: every node hears every hint, and a message names all users of a turn."""
EACH = None
"""A channel for each user: no node hears what does not concern it."""


class Traffic(NamedTuple):
    """Messages a second: to the broker, and from it to all nodes; and the subscriptions that it keeps."""

    published: float
    delivered: float
    subscriptions: float


class Limit(NamedTuple):
    """What a part can do, `capacity`, and what it has to do, `load`. `origin`: why that capacity is taken."""

    name: str
    capacity: float
    load: Callable[[Fleet, Traffic], float]
    origin: str

    def used(self, fleet: Fleet, traffic: Traffic) -> float:
        """The share of the capacity that is used; above 1 the part is broken."""
        return self.load(fleet, traffic) / self.capacity


@dataclass(frozen=True, slots=True)
class Layout:
    """`channels`: how many there are, ONE, or EACH user has one. `limits`: those of its broker."""

    name: str
    title: str
    channels: int | None
    limits: tuple[Limit, ...]


def expected(fleet: Fleet, channels: int | None) -> Traffic:
    """The messages of `fleet` with so many channels, by formula."""
    nodes, places = fleet.nodes, fleet.nodes_of_user
    shared = 0.0 if channels is EACH else 1 - exp(-fleet.users_of_node / channels)
    heard = nodes * shared + fleet.share_connected * places * (1 - shared)
    published = fleet.changes / (fleet.changes_in_turn if channels == ONE else 1)
    listened = fleet.users_of_node if channels is EACH else channels * shared
    return Traffic(published, published * heard, nodes * listened)


def fullest(limits: tuple[Limit, ...], fleet: Fleet, traffic: Traffic) -> tuple[Limit, float]:
    """The limit that breaks first, and how much of it is used."""
    return max(((limit, limit.used(fleet, traffic)) for limit in limits), key=lambda found: found[1])
