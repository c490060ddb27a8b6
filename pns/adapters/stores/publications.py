"""A publication as a row: the part of the audiences that both engines share.

Knows no statement and touches no database. A row takes the columns of the statements by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from pns.adapters.stores.drafts import Draft, byte_length, digest, drafts
from pns.contracts.audiences import Publication, Stretch, Subscriber
from pns.contracts.store import Submission
from pns.model.name import KeptName
from pns.model.notification import Notification
from pns.model.push import Cause


class _Kept(Notification, frozen=True):
    """A notification of an older release, whose names this release would refuse."""

    notification_id: KeptName | None = None
    category: KeptName | None = None
    collapse_key: KeptName | None = None


_NEVER = 2**63 - 1
"""Later than any date."""
_AHEAD = msgspec.json.Decoder(tuple[int, ...])
_CONTENT = msgspec.json.Decoder(tuple[tuple[_Kept, ...], Cause])


class StoredPublication(NamedTuple):
    """A publication as the statements select it."""

    publication_id: str
    audience: str
    content: str
    create_date: int
    after_key: int
    reached: int
    end_date: int | None
    task: str | None
    seen_since: int | None
    spread_end: int | None
    taken_back: int | None
    taken_back_date: int | None
    announcement: int | None
    ahead: str | None


class LookedAt(NamedTuple):
    """A user, and whether the user may have something of a publication."""

    user_key: int
    user_id: str
    has_some: int


class Item(NamedTuple):
    """A notification of a publication, to be taken back. `member`: of its group."""

    notification_id: str
    data: str
    member: str | None

    @property
    def digest(self) -> int:
        return digest(self.data)


LOOKS = 5_000
"""Ids of users that one look for holders looks up."""
USERS_LOOKED_AT = 1_000
"""The same for users who were connected last since some time."""


def columns_of(publication: Publication) -> dict[str, object]:
    """The parameters of a new publication."""
    content = msgspec.json.encode((publication.notifications, publication.cause))
    return {
        "publication_id": publication.publication_id,
        "audience": publication.audience,
        "content": content.decode(),
        "create_date": publication.create_date,
        "seen_since": publication.seen_since,
        "task": None if publication.seen_since is None else "spread",
        "end_date": None if publication.seen_since is None else publication.create_date,
    }


def publication_of(row: StoredPublication) -> Publication:
    """The publication of a row."""
    notifications, cause = content_of(row.content)
    return Publication(
        publication_id=row.publication_id,
        audience=row.audience,
        notifications=notifications,
        cause=cause,
        create_date=row.create_date,
        after=row.after_key,
        reached=row.reached,
        end_date=_end_of(row),
        seen_since=row.seen_since,
        taken_back=row.taken_back,
        taken_back_date=row.taken_back_date,
        announcement=row.announcement,
        ahead=() if row.ahead is None else _AHEAD.decode(row.ahead),
    )


def content_of(content: str) -> tuple[tuple[Notification, ...], Cause]:
    """The notifications of a publication, and their cause."""
    notifications, cause = _CONTENT.decode(content)
    return tuple(Notification(**asdict(kept)) for kept in notifications), cause


def _end_of(row: StoredPublication) -> int | None:
    """When all were reached."""
    if row.taken_back is not None:
        return row.spread_end
    return None if row.task in ("spread", "announce") else row.end_date


def place_of(before: Publication | None) -> dict[str, object]:
    """Where a page of publications begins; None: before the newest."""
    if before is None:
        return {"create_date": _NEVER, "publication_id": ""}
    return {"create_date": before.create_date, "publication_id": before.publication_id}


def page_of(found: Iterable[StoredPublication], max_bytes: int) -> list[Publication]:
    """The publications of rows, as many as `max_bytes` of content allow, at least one."""
    page: list[Publication] = []
    for row in found:
        max_bytes -= byte_length(row.content)
        if page and max_bytes < 0:
            break
        page.append(publication_of(row))
    return page


def drafts_of(publication: Publication, users: Sequence[Subscriber], now: int) -> list[Draft]:
    """A publication's drafts for each of `users`. Kept notifications with the same ids stay."""
    submissions = [
        Submission(user.user_id, publication.notifications, publication.cause, user.user_key)
        for user in users
    ]
    return [draft._replace(yields=True) for draft in drafts(submissions, now)]


def step_of(
    publication: Publication, users: Sequence[Subscriber], now: int, *, end: int | None, complete: bool
) -> dict[str, object]:
    """The parameters of a step to `end`, or to the last of `users`."""
    last = users[-1].user_key if users else publication.after
    return {
        "publication_id": publication.publication_id,
        "begin": publication.after,
        "ahead": ahead_of(publication.ahead),
        "after": last if end is None else end,
        "reached": len(users),
        "end_date": now if complete else None,
        "now": now,
    }


def ahead_of(user_keys: Sequence[int]) -> str | None:
    """The kept form of the keys of users who were reached ahead."""
    return msgspec.json.encode(user_keys).decode() if user_keys else None


def step_ahead_of(publication: Publication, users: Sequence[Subscriber], now: int) -> dict[str, object]:
    """The parameters of a step that reaches `users` ahead of their turn."""
    return {
        "publication_id": publication.publication_id,
        "begin": publication.after,
        "ahead": ahead_of(publication.ahead),
        "now_ahead": ahead_of([*publication.ahead, *(user.user_key for user in users)]),
        "reached": len(users),
        "now": now,
    }


def seen_of(publication: Publication, limit: int) -> dict[str, int]:
    """The parameters of a look for the users who were connected last since `publication.seen_since`."""
    return {
        "create_date": publication.create_date,
        "seen_since": publication.seen_since or 0,
        "after": publication.after,
        "limit": max(USERS_LOOKED_AT, limit),
    }


def items_of(publication: Publication) -> list[Item]:
    """What is to be taken back of a publication, each once."""
    return list(
        dict.fromkeys(
            Item(
                each.notification_id or "",
                each.notification_data,
                None if each.group is None else each.group.member,
            )
            for each in publication.notifications
        )
    )


def users_at_once(items: Sequence[Item], limit: int) -> int:
    """How many users one look for holders may look at; at least as many as it may return."""
    return max(LOOKS // len(items), limit)


def stretch_of(found: Sequence[LookedAt], limit: int, *, after: int, looked: int) -> Stretch:
    """The first `limit` of the users who have something. `found`: the next `looked` users, or all others."""
    users = [Subscriber(each.user_key, each.user_id) for each in found if each.has_some]
    if len(users) > limit:
        return Stretch(users[:limit], users[limit - 1].user_key, complete=False)
    return Stretch(users, found[-1].user_key if found else after, complete=len(found) < looked)


def step_back_of(publication: Publication, stretch: Stretch, now: int) -> dict[str, object]:
    """The parameters of a step that takes back."""
    return {
        "publication_id": publication.publication_id,
        "begin": publication.after,
        "after": stretch.end,
        "now": now,
        "complete": stretch.complete,
    }
