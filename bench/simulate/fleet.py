"""A fleet: its size, its load, and the work that it has whatever its bus is, by formula.

Everything is a mean, a second's worth where nothing else is said. Users have one, two or three devices,
equally likely, each connected to a node at random, as a load balancer that knows no users does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from pns.live.presence import RENEW_SECONDS
from pns.settings import Settings

DEVICES = (1, 2, 3)
SHARE = 0.2
"""Of the notifies, those to a user who is connected. Each of them is followed by one mark as seen."""
STAY_SECONDS = 1800.0
"""How long a connection lives: a page is open for half an hour."""
TURN_SECONDS = 0.002
"""Between two messages of a node on its way to everybody: a commit, and the broker's answer."""
RETURN_SECONDS = 20.0
"""Within which the devices of a dead node are back."""
HEARTBEAT_SECONDS = Settings().server.heartbeat_seconds
RECHECK_SECONDS = Settings().auth.recheck_seconds


@dataclass(frozen=True, slots=True)
class Fleet:
    """`notifies`: a second, of the whole fleet, one user each."""

    nodes: int
    connections: int
    notifies: float

    # ── who is where ──────────────────────────────────────────────────────────────────────────────────

    @property
    def users(self) -> int:
        """Users who are connected."""
        return round(self.connections * len(DEVICES) / sum(DEVICES))

    @property
    def nodes_of_user(self) -> float:
        """Nodes that hold one user: fewer than devices, where two came to the same node."""
        elsewhere = 1 - 1 / self.nodes
        return sum(self.nodes * (1 - elsewhere**devices) for devices in DEVICES) / len(DEVICES)

    @property
    def users_of_node(self) -> float:
        return self.users * self.nodes_of_user / self.nodes

    # ── what changes ──────────────────────────────────────────────────────────────────────────────────

    @property
    def changes(self) -> float:
        """Changes of a user's count: every notify, and every mark as seen."""
        return self.notifies * (1 + SHARE)

    @property
    def share_connected(self) -> float:
        """Of the changes, those of users who are connected."""
        return 2 * SHARE / (1 + SHARE)

    @property
    def changes_in_turn(self) -> float:
        """Changes that share a message where one message can name them all.

        A turn takes what came during the turn before; where nothing came, it waits for one.
        """
        during = self.changes / self.nodes * TURN_SECONDS
        return during + exp(-during)

    # ── the work that no bus changes ──────────────────────────────────────────────────────────────────

    @property
    def connects(self) -> float:
        return self.connections / STAY_SECONDS

    @property
    def reads_of_hints(self) -> float:
        """Users read because of hints: on the nodes that hold them, and nowhere else."""
        return self.changes * self.share_connected * self.nodes_of_user

    @property
    def reads_of_comparison(self) -> float:
        """Users read because each heartbeat compares all users of a node with the store."""
        return self.users_of_node * self.nodes / HEARTBEAT_SECONDS

    @property
    def reads(self) -> float:
        """Users whose state is read, those of new connections included."""
        return self.reads_of_hints + self.reads_of_comparison + self.connects

    @property
    def writes(self) -> float:
        """Rows written: notifies, marks, devices that come and go, and leases."""
        return self.changes + 2 * self.connects + self.nodes / RENEW_SECONDS

    @property
    def questions(self) -> float:
        """Questions to the application: who is this, and is that still so."""
        return self.connects + self.connections / RECHECK_SECONDS

    @property
    def returning(self) -> float:
        """New connections a second of each other node after one died; of a single node, its own."""
        return self.connections / self.nodes / max(1, self.nodes - 1) / RETURN_SECONDS
