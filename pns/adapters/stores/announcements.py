"""Announcements as rows, and the announcements missing in inboxes: the part shared by both engines.

Knows no statement and touches no database. A row takes the columns of the statements by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pns.adapters.stores.appends import Append
from pns.adapters.stores.drafts import Draft, byte_length, drafts
from pns.adapters.stores.publications import columns_of, content_of
from pns.contracts.announcements import CaughtUp, Told
from pns.contracts.audiences import Publication
from pns.contracts.store import Submission
from pns.errors import PNSError
from pns.model.push import PushSchedule
from pns.model.timestamp import DAY, microseconds, moment_of
from pns.model.webhook import WebhookTerms
from pns.runtime.clock import Clock

HEADS = 100
"""Announcements looked at by a commit."""
USERS = 25
"""Users in one commit. A commit for so many has no notify in it, and no notify waits long behind it."""
USER_ROWS = 100
"""Notifications that a commit stores for a user, beyond the first announcement."""
ROWS = 200
"""The same for all users."""
BYTES = 512 * 1024
LOOKED_AT = 1_000
"""Users looked at by a look for users."""
KEPT = 400 * DAY
_NEVER = 2**63 - 1


class CatchingUp(ABC):
    """The part of an engine's Announcements without a statement. `noting`: timelines are kept."""

    def __init__(self, *, clock: Clock, webhook: WebhookTerms, noting: bool) -> None:
        self._clock = clock
        self._webhook = webhook
        self._noting = noting
        self._push: PushSchedule | None = None
        self._told: Told = _nothing

    def begin(self, *, terms: PushSchedule | None, told: Told) -> None:
        self._push, self._told = terms, told

    async def catch_up(self, user_ids: Collection[str]) -> None:
        asked = list(dict.fromkeys(user_ids))
        for start in range(0, len(asked), USERS):
            some = tuple(asked[start : start + USERS])
            while some:
                some = (await self._catch_up(some)).behind

    @abstractmethod
    async def _catch_up(self, user_ids: tuple[str, ...]) -> CaughtUp:
        """A commit for these users, USERS at most."""

    def _nothing_new(self) -> Append:
        """The append beside the announcements: nothing."""
        return Append((), self._clock.now(), self._push, self._webhook, self._noting)


class NotCaughtUp(PNSError):
    """The inboxes of these users miss announcements. The store makes the inboxes level, and tries again."""

    def __init__(self, user_ids: Collection[str]) -> None:
        super().__init__()
        self.user_ids = tuple(user_ids)


class Head(NamedTuple):
    """An announcement without its content."""

    seq: int
    create_date: int
    last_key: int
    notifications: int
    bytes: int
    expire_date: int
    seen_since: int | None

    def is_for(self, user: BehindUser, now: int) -> bool:
        """Whether the user gets the announcement."""
        if self.expire_date <= now or self.last_key < user.user_key:
            return False
        return self.seen_since is None or user.connected_until(self.create_date) >= self.seen_since


class BehindUser(NamedTuple):
    """A user who misses announcements after `announced_up_to`."""

    user_key: int
    user_id: str
    announced_up_to: int
    last_connected_at: int
    connected_before: int | None

    def connected_until(self, moment: int) -> int:
        """The day of the last connection. A connection after `moment` does not count."""
        if self.last_connected_at > moment and self.connected_before is not None:
            return self.connected_before
        return self.last_connected_at


class Missing(NamedTuple):
    """A user, and the announcements that a commit stores for the user. `up_to`: the inbox's new level."""

    user: BehindUser
    seqs: tuple[int, ...]
    up_to: int


def _nothing(user_ids: Collection[str], done: CaughtUp | None) -> None:
    pass


def dependents(wanted: Iterable[Draft]) -> set[str]:
    """The users of drafts with a given id or a collapse key: the outcome depends on the rows of the inbox."""
    return {draft.user_id for draft in wanted if draft.id_given or draft.collapse_key is not None}


def missing(users: Iterable[BehindUser], heads: Sequence[Head], now: int) -> list[Missing]:
    """The parts of one commit for `users`. `heads`: the next announcements after the users' lowest level.

    At least one user makes progress.
    """
    rows = size = 0
    found = []
    for user in users:
        mine, seqs, up_to = 0, [], user.announced_up_to
        for head in heads:
            if head.seq <= user.announced_up_to:
                continue
            if head.is_for(user, now):
                full = rows + head.notifications > ROWS or size + head.bytes > BYTES
                if (mine and mine + head.notifications > USER_ROWS) or (rows and full):
                    break
                mine, rows, size = mine + head.notifications, rows + head.notifications, size + head.bytes
                seqs.append(head.seq)
            up_to = head.seq
        found.append(Missing(user, tuple(seqs), up_to))
    return found


def left_behind(parts: Iterable[Missing], heads: Sequence[Head], user_ids: Sequence[str]) -> tuple[str, ...]:
    """Those of `user_ids` who are not level after `parts`. Of as many heads as were asked for, there may be
    more.
    """
    newest = heads[-1].seq if heads and len(heads) < HEADS else _NEVER
    levels = {part.user.user_id: part.up_to for part in parts}
    return tuple(id for id in user_ids if heads and levels.get(id, _NEVER) < newest)


def drafts_for(parts: Iterable[Missing], contents: Mapping[int, str], now: int) -> list[Draft]:
    """The drafts of missing announcements, in order. Kept notifications with equal ids stay.

    `contents`: by number; an announcement without content was taken back.
    """
    said = {seq: content_of(content) for seq, content in contents.items()}
    submissions = [
        Submission(part.user.user_id, *said[seq], part.user.user_key)
        for part in parts
        for seq in part.seqs
        if seq in said
    ]
    return [draft._replace(yields=True) for draft in drafts(submissions, now)]


def reached_by(parts: Iterable[Missing], contents: Collection[int]) -> dict[int, int]:
    """By announcement, the number of users with the announcement."""
    numbers = dict.fromkeys(sorted(contents), 0)
    for part in parts:
        for seq in part.seqs:
            if seq in numbers:
                numbers[seq] += 1
    return numbers


def row_of(publication: Publication) -> dict[str, object]:
    """The parameters of a new announcement."""
    created = moment_of(publication.create_date)
    dated = [
        each if each.create_date is not None else replace(each, create_date=created)
        for each in publication.notifications
    ]
    content = str(columns_of(replace(publication, notifications=tuple(dated)))["content"])
    expiries = [each.expire_date for each in publication.notifications]
    last = publication.create_date + KEPT
    known = [microseconds(expiry) for expiry in expiries if expiry is not None]
    return {
        "content": content,
        "create_date": publication.create_date,
        "notifications": len(publication.notifications),
        "bytes": byte_length(content),
        "expire_date": min(max(known), last) if len(known) == len(expiries) else last,
        "seen_since": publication.seen_since,
    }


def told_categories(publication: Publication) -> list[str | None]:
    """The categories of the notifications with a webhook."""
    return list({each.category: None for each in publication.notifications if each.webhook is not False})


def categories_text(categories: Collection[str | None]) -> str:
    """`categories` as one parameter."""
    return msgspec.json.encode(list(categories)).decode()
