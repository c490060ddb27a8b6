"""The Announcements contract: broadcasts that are one row each, and inboxes that catch up. Part of the Store.

- **One row.** `announce` stores one row, however many users there are. The audience is every user whom the
  store knew then.
- **Level before it matters.** An inbox is level when it holds all announcements for its user. A method of
  the Store that reads an inbox, or whose result depends on the rows of an inbox, makes the inbox level first.
  So a count is always the number of rows.
- What is missing is stored like notifications that come in then: with places, counts, pushes, preferences,
  collapse keys and groups. Each announcement is stored once for a user, on whichever node, in the order of
  publishing.
- **Small commits.** A commit stores at most about 100 notifications for a user.
- **Taken back whole.** After Audiences.take_back nobody catches up on the announcement.

Code before schema 5 knows no announcements. While a node of such code lives, a broadcast is spread to each
user, and `behind` finds the inboxes to make level. Methods raise the errors of the Store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pns.contracts.audiences import Publication, Stretch
from pns.model.push import PushSchedule

if TYPE_CHECKING:
    from pns.contracts.store import State


class CaughtUp(NamedTuple):
    """The result of a commit: the number of stored notifications, the users whose count changed with their
    counts, and the users who are not level yet.
    """

    created: int
    changed: Mapping[str, State]
    behind: tuple[str, ...] = ()


Told = Callable[[Collection[str], CaughtUp | None], object]
"""Called after each commit with the users who were to catch up, as a Committed of the Store is."""


class Announcements(Protocol):
    """See the module's docstring for what every method promises."""

    def begin(self, *, terms: PushSchedule | None, told: Told) -> None:
        """From now on, push what inboxes catch up on by `terms`, and tell each commit by `told`."""

    async def announce(self, publication: Publication) -> Publication:
        """Keep a publication for everybody, durable at the return, as Audiences.publish does.

        The publication is one row, and has an `announcement`. It is left to the spreader as before while a
        node of code before schema 5 lives, or while an earlier broadcast is being spread.
        """

    async def newest(self) -> int:
        """The number of the newest announcement; 0 for none."""

    async def catch_up(self, user_ids: Collection[str]) -> None:
        """Make these users' inboxes level."""

    async def due(self, until: int) -> Publication | None:
        """Lease until `until` the announcement that has waited longest, of those without a lease, until all
        are reached who are not left to come by themselves.
        """

    async def next_users(self, publication: Publication, *, limit: int) -> Stretch:
        """The next at most `limit` users who should not wait: first whoever is connected to a living node,
        then the users after `publication.after` with a push device, or whom a webhook may tell of it.

        Looks at a bounded number of users.
        """

    async def advance(self, publication: Publication, stretch: Stretch) -> bool:
        """Record that the users of `stretch`, the next after `publication.after`, are level.

        Returns False when another node went on meanwhile, or the publication was taken back.
        """

    async def beside_older(self) -> bool:
        """Whether a node of code before schema 5 lives, and may read inboxes that are not level."""

    async def connected_behind(self, limit: int) -> Stretch:
        """At most `limit` users who are connected to a living node, and are not level."""

    async def behind(self, after: int, *, limit: int) -> Stretch:
        """The next at most `limit` users after the key `after` who are not level.

        Looks at a bounded number of users.
        """

    async def prune(self, limit: int) -> int:
        """Remove at most `limit` announcements that nobody catches up on any more; returns the number."""
