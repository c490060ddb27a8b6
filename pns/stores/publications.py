"""A publication as a row: the part of the audiences that is the same for every engine.

Knows no statement and touches no database. A row's columns stand in the order of the statements.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pns.audience import Publication
from pns.notification import Notification
from pns.push import Origin

_CONTENT = msgspec.json.Decoder(tuple[tuple[Notification, ...], Origin])


class PublicationRow(NamedTuple):
    """A publication as the statements select it."""

    publication_id: str
    audience: str
    content: str
    create_date: int
    after_key: int
    reached: int
    end_date: int | None


def columns_of(publication: Publication) -> dict[str, object]:
    """A new publication as the statements want it."""
    content = msgspec.json.encode((publication.notifications, publication.origin))
    return {
        "publication_id": publication.publication_id,
        "audience": publication.audience,
        "content": content.decode(),
        "create_date": publication.create_date,
    }


def publication_of(row: PublicationRow) -> Publication:
    """The publication of a row."""
    notifications, origin = _CONTENT.decode(row.content)
    return Publication(
        publication_id=row.publication_id,
        audience=row.audience,
        notifications=notifications,
        origin=origin,
        create_date=row.create_date,
        after=row.after_key,
        reached=row.reached,
        end_date=row.end_date,
    )
