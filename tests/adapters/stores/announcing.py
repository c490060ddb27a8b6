"""What the tests of announcements have in common."""

from __future__ import annotations

from collections.abc import Callable

from pns.contracts.audiences import EVERYBODY, Publication
from pns.contracts.store import Presence, Store
from pns.model.notification import Notification
from pns.model.timestamp import DAY
from pns.testing.clock import FakeClock

from .pushing import START

Raw = Callable[[str], list[str]]
OLDER = "INSERT INTO nodes (node_id, lease_until) VALUES ('older', {})"
"""A node of code that knows no announcements."""


async def announce(
    store: Store, *notifications: Notification | str, id: str = "p", days: int | None = None, at: int = START
) -> Publication:
    """Announce notifications; a text is the id and the data of one."""
    some = tuple(Notification(n, notification_id=n) if isinstance(n, str) else n for n in notifications)
    return await store.announcements.announce(
        Publication(
            publication_id=id,
            audience=EVERYBODY,
            notifications=some,
            create_date=at,
            seen_since=None if days is None else (at // DAY - days) * DAY,
        )
    )


async def kept(store: Store, id: str = "p") -> Publication:
    found = await store.audiences.publication(id)
    assert found is not None
    return found


def rows(raw: Raw, user: str = "ann") -> list[str]:
    """The notifications that are rows of the user, without a reader who would catch up."""
    return raw(
        "SELECT n.notification_id FROM notifications n JOIN users u ON u.user_key = n.user_key"
        f" WHERE u.user_id = '{user}' ORDER BY n.seq"
    )


async def connect(store: Store, clock: FakeClock, *users: str, node: str = "node") -> None:
    """A lease with connections of these users."""
    presences = [Presence(user, "browser", 1, clock.now()) for user in users]
    await store.renew_lease(node, clock.now() + DAY, presences)
