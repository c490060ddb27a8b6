"""What a connection was sent with `ack`: enough to mark all that the device says to have shown.

The memory is bounded. Ids and places are kept of the newest two pages; of all pages the ends are kept. A page
of unseen notifications begins at the oldest and skips nothing, and nothing becomes unseen again at its place.
So all that is still unseen up to a page's end, in the page's category or in all, was sent. The store knows
the places of ids that are not kept here. Pure: asks no store.
"""

from __future__ import annotations

from typing import NamedTuple

from pns.model.notification import Page

MOST_STRETCHES = 1_000
"""The most stretches of one connection. A stretch goes when it was said to be seen, or when nothing of its
category is unseen any more. So only a device that never says so has many."""
PAGES = 2
"""The pages whose ids are kept."""


class Stretch(NamedTuple):
    """The unseen notifications of `category`, or of all, up to the place `last`."""

    category: str | None
    last: int


class Sent:
    """The pages of one user, by one `user_key`. `newest`: the highest place that was sent."""

    __slots__ = ("_ends", "_most", "_older", "_places", "_unmarked", "newest", "user_key")

    def __init__(self, user_key: int, *, page_size: int) -> None:
        self.user_key = user_key
        self.newest = 0
        self._most = PAGES * page_size
        # Category, or None for all → the highest place that was sent.
        self._ends: dict[str | None, int] = {}
        # Id → place, in the order of sending.
        self._places: dict[str, int] = {}
        # The highest place whose id is not known any more.
        self._older = 0
        # The highest of these places that may still be unseen.
        self._unmarked = 0

    def has_room(self, category: str | None) -> bool:
        """Whether a page of `category` may be added."""
        return category is None or category in self._ends or len(self._ends) < MOST_STRETCHES

    def add(self, page: Page, category: str | None) -> None:
        """Remember a page, of `category` or of all, that begins at the oldest unseen."""
        if not page.items:
            self._forget_stretches(category, up_to=self.newest)
            return
        end = page.items[-1].seq
        if category is None:
            self._forget_stretches(None, up_to=end)
        if end > max(self._ends.get(category, 0), self._ends.get(None, 0)):
            self._ends[category] = end
        self.newest = max(self.newest, end)
        for kept in page.items:
            self._places.pop(kept.notification_id, None)
            self._places[kept.notification_id] = kept.seq
        self._unmarked = max(self._unmarked, self._forget_ids(list(self._places)[: -self._most]))
        if category is None and self._unmarked <= end:
            self._unmarked = 0  # this page has all of them that are unseen

    def place(self, notification_id: str) -> int | None:
        """Where the notification stood when it was sent; None if its id is not remembered."""
        return self._places.get(notification_id)

    def place_of_older(self, place: int) -> int:
        """Which place counts for an id that is not remembered. `place`: where the store has the notification.

        An id that was sent and forgotten had a place up to `_older`. Any other was never sent, or given to
        another notification since: the id then says nothing of what came later.
        """
        return min(place, self._older)

    def places(self, up_to: int) -> tuple[int, ...] | None:
        """All that was sent up to the place `up_to` and may be unseen; None when only `stretches` know."""
        return None if self._unmarked else tuple(place for place in self._places.values() if place <= up_to)

    def stretches(self, up_to: int) -> tuple[Stretch, ...]:
        """All that was sent up to the place `up_to` and may be unseen."""
        of_all = min(self._ends.get(None, 0), up_to)
        found = {category: min(end, up_to) for category, end in self._ends.items()}
        others = [Stretch(category, end) for category, end in found.items() if end > of_all]
        return (*([Stretch(None, of_all)] if of_all else []), *others)

    def shown(self, up_to: int) -> None:
        """All that was sent up to the place `up_to` is marked. The last one's id stays known."""
        self._forget_stretches(None, up_to=up_to)
        self._forget_ids([id_ for id_, place in self._places.items() if place < up_to])
        if self._unmarked <= up_to:
            self._unmarked = 0

    def _forget_ids(self, ids: list[str]) -> int:
        """Returns the highest of their places."""
        highest = max((self._places.pop(id_) for id_ in ids), default=0)
        self._places = dict(self._places)  # a dict that was large stays large
        self._older = max(self._older, highest)
        return highest

    def _forget_stretches(self, category: str | None, *, up_to: int) -> None:
        """Forget the stretches, of `category` or all, that end at the place `up_to` or before."""
        self._ends = {
            name: end
            for name, end in self._ends.items()
            if end > up_to or (category is not None and name != category)
        }
