"""`notify` inside a transaction of Django: rows of `pns_outgoing`, by the connection of `using`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from itertools import islice
from time import time_ns
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from pns.django.tables import DELETE, DELETE_USER, INSERT, INSERT_AND_WAKE
from pns.errors import SettingsError
from pns.model import plain
from pns.model.notification import Notification, new_notification_id
from pns.model.outgoing import NewRow, microseconds, new_rows
from pns.model.plain import Notifications

PIECE = 1_000
"""Users who are read and written at once."""
_NO_APPLICATION = 'add "pns.django" to INSTALLED_APPS, and run `manage.py migrate`'


def notify(user: Any, notifications: Notifications, *, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Notify a user, or many, if and when the transaction commits; returns the notifications' ids.

    `user`: a user of Django's or a user's id; a queryset of users, or of ids by `values_list`; or
    another iterable of users or ids. Each of many gets the same notifications with the same ids. Many are
    read and written in pieces, all or nothing. `notifications`: as for `PNS.notify`. `using`: the database of
    the transaction. Without a transaction, Django commits at once.

    Raises Invalid and TypeError, as `PNS.notify` does. A `notification_id` that waits already for the same
    user, also because the user is among many twice, is an IntegrityError.
    """
    if not apps.is_installed("pns.django"):
        raise SettingsError(_NO_APPLICATION)
    many = _many(user)
    if many is None:
        rows = _rows(_id_of(user), notifications)
        with transaction.atomic(using=using) if len(rows) > 1 else nullcontext():
            insert(connections[using], rows)
        apps.get_app_config("pns").nudge_at_commit(using)
        return [row.id for row in rows]
    wanted = _with_ids(notifications)
    with transaction.atomic(using=using):
        _begin_by_writing(connections[using])
        while piece := list(islice(many, PIECE)):
            insert(connections[using], [row for each in piece for row in _rows(_id_of(each), wanted)])
        apps.get_app_config("pns").nudge_at_commit(using)
    return [str(notification.notification_id) for notification in wanted]


async def anotify(user: Any, notifications: Notifications, *, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """`notify` for async code. As all of Django's async calls, in no transaction of an async function."""
    made: list[str] = await sync_to_async(notify)(user, notifications, using=using)
    return made


def insert(connection: Any, rows: Sequence[NewRow]) -> None:
    """Write rows by a connection of Django's."""
    if not rows:
        return
    statement = INSERT_AND_WAKE if connection.vendor == "postgresql" else INSERT
    given = [[row.id, row.user_id, row.notification, _moment(connection, row)] for row in rows]
    with connection.cursor() as cursor:
        if len(given) == 1:
            cursor.execute(statement, given[0])
        else:
            cursor.executemany(statement, given)


def _begin_by_writing(connection: Any) -> None:
    """On SQLite, a transaction that reads first may not write any more once another connection writes."""
    if connection.vendor == "sqlite":
        delete_rows(connection, "")


def delete_row(connection: Any, row: NewRow) -> None:
    """Remove a row, if the forwarder has not."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE, [row.user_id, row.id])


def delete_rows(connection: Any, user_id: str) -> None:
    """Remove all rows that wait for a user, or have failed."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_USER, [user_id])


def _many(user: Any) -> Iterator[Any] | None:
    """The members of a queryset or of another iterable; None for a single user."""
    from django.db.models import Model, QuerySet

    if isinstance(user, QuerySet):
        # Whole users are not needed, and a million of them fit into no memory.
        with suppress(TypeError):  # after values_list()
            user = user.select_related(None).prefetch_related(None).only("pk")
        pieces: Iterable[Any] = user.iterator(chunk_size=PIECE)
        return iter(pieces)
    # By `__class__`: `request.user` is an object that stands for another, and seems to be of every kind.
    is_one = issubclass(user.__class__, Model | str | bytes) or not issubclass(user.__class__, Iterable)
    members: Iterable[Any] = user
    return None if is_one else iter(members)


def _id_of(user: Any) -> Any:
    from django.db.models import Model

    return user.pk if isinstance(user, Model) else user


def _rows(user_id: Any, notifications: Notifications) -> list[NewRow]:
    newest = apps.get_app_config("pns").newest
    rows = new_rows(user_id, notifications, now=time_ns() // 1000, newest=newest.created_at)
    if rows:
        newest.created_at = microseconds(rows[-1].created_at)
    return rows


def _with_ids(given: Notifications) -> list[Notification]:
    """The notifications, each with its id: one id for all users."""
    now = time_ns() // 1000
    return [
        msgspec.structs.replace(each, notification_id=each.notification_id or new_notification_id(now))
        for each in plain.notifications(given)
    ]


def _moment(connection: Any, row: NewRow) -> str:
    moment = row.created_at.strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{moment}+00:00" if connection.vendor == "postgresql" else moment
