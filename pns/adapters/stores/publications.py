"""A publication as a row: the part of the audiences that both engines share.

Knows no statement and touches no database. A row takes the columns of the statements by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from pns.adapters.stores.drafts import Draft, drafts
from pns.contracts.audiences import Publication, Subscriber
from pns.contracts.store import Submission
from pns.model.name import KeptName
from pns.model.notification import Notification
from pns.model.push import Cause


class _Kept(Notification, frozen=True):
    """A notification of an older release, whose names this release would refuse."""

    notification_id: KeptName | None = None
    category: KeptName | None = None
    collapse_key: KeptName | None = None


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


def columns_of(publication: Publication) -> dict[str, object]:
    """The parameters of a new publication."""
    content = msgspec.json.encode((publication.notifications, publication.cause))
    return {
        "publication_id": publication.publication_id,
        "audience": publication.audience,
        "content": content.decode(),
        "create_date": publication.create_date,
    }


def publication_of(row: StoredPublication) -> Publication:
    """The publication of a row."""
    notifications, cause = _CONTENT.decode(row.content)
    return Publication(
        publication_id=row.publication_id,
        audience=row.audience,
        notifications=tuple(Notification(**asdict(kept)) for kept in notifications),
        cause=cause,
        create_date=row.create_date,
        after=row.after_key,
        reached=row.reached,
        end_date=row.end_date,
    )


def drafts_of(publication: Publication, users: Sequence[Subscriber], now: int) -> list[Draft]:
    """A publication's drafts for each of `users`. Kept notifications with the same ids stay."""
    submissions = [
        Submission(user.user_id, publication.notifications, publication.cause, user.user_key)
        for user in users
    ]
    return [draft._replace(yields=True) for draft in drafts(submissions, now)]


def step_of(publication: Publication, users: Sequence[Subscriber], end_date: int | None) -> dict[str, object]:
    """The parameters of a step to the last of `users`. `end_date`: set for the last step."""
    return {
        "publication_id": publication.publication_id,
        "begin": publication.after,
        "after": users[-1].user_key if users else publication.after,
        "reached": len(users),
        "end_date": end_date,
    }
