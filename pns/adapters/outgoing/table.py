"""The statements on `pns_outgoing`: claim the oldest rows, delete or note the rows. A claim is a transaction,
which holds the rows' locks until `settle` commits.

Only the columns of the contract are named, so the table may have further columns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    column,
    delete,
    func,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.types import DateTime, Text

from pns.contracts.outgoing import Backlog, Refusal, Row

NAME = "pns_outgoing"
LOCKING = ("postgresql", "mysql", "mariadb")
"""Databases that lock rows and can pass over locked rows."""

_ROWS = table(
    NAME,
    *(column(name, Text()) for name in ("id", "user_id", "notification", "problem")),
    *(column(name, DateTime(timezone=True)) for name in ("created_at", "failed_at")),
)
_this = (_ROWS.c.user_id == bindparam("of_user")) & (_ROWS.c.id == bindparam("of_id"))
_WAITING = (
    select(_ROWS.c.user_id, _ROWS.c.id, _ROWS.c.notification)
    .where(_ROWS.c.failed_at.is_(None))
    .order_by(_ROWS.c.created_at, _ROWS.c.id)
)
_IS_WAITING = _ROWS.c.failed_at.is_(None)
_OLDEST: ColumnElement[object] = func.min(column("created_at"))
_COUNT_WAITING = select(func.count(), _OLDEST).select_from(_ROWS).where(_IS_WAITING)
_COUNT_REFUSED = select(func.count()).select_from(_ROWS).where(_ROWS.c.failed_at.is_not(None))
_DELETE = delete(_ROWS).where(_this)
_NOTE = update(_ROWS).where(_this).values(failed_at=bindparam("at"), problem=bindparam("told"))


def has_table(connection: Connection) -> bool:
    """Whether the database has the table where statements without a schema look."""
    return inspect(connection).has_table(NAME)


def claim(connection: Connection, *, most: int) -> Sequence[Row]:
    """The oldest rows that nobody else holds. Without rows, the transaction is over."""
    waiting = _WAITING.limit(most)
    if connection.dialect.name in LOCKING:
        waiting = waiting.with_for_update(skip_locked=True)
    rows = [Row(user, id, _text(notification)) for user, id, notification in connection.execute(waiting)]
    if not rows or connection.dialect.name not in LOCKING:
        connection.rollback()
    return rows


def settle(connection: Connection, *, taken: Collection[Row], refused: Collection[Refusal]) -> None:
    """Delete, note and commit."""
    if taken:
        connection.execute(_DELETE, [{"of_user": row.user_id, "of_id": row.id} for row in taken])
    if refused:
        connection.execute(_NOTE, [_note(refusal, datetime.now(UTC)) for refusal in refused])
    connection.commit()


def backlog(connection: Connection, *, now: int) -> Backlog:
    """See Outgoing.backlog. `now`: microseconds since 1970."""
    waiting, oldest = connection.execute(_COUNT_WAITING).one()
    refused = connection.execute(_COUNT_REFUSED).scalar_one()
    connection.rollback()
    return Backlog(waiting, _age(oldest, now), refused)


def _age(created_at: object, now: int) -> float:
    """Seconds. Times without a zone are UTC, as MySQL and SQLite keep times. 0 for no row, and for a time
    in a form of the application's own.
    """
    if isinstance(created_at, str):
        with suppress(ValueError):
            created_at = datetime.fromisoformat(created_at)
    if not isinstance(created_at, datetime):
        return 0.0
    created = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
    return max(0.0, now / 1_000_000 - created.timestamp())


def _note(refusal: Refusal, now: datetime) -> dict[str, object]:
    row = refusal.row
    return {"of_user": row.user_id, "of_id": row.id, "at": now, "told": refusal.problem}


def _text(notification: object) -> str:
    """The JSON text, also of a column of type `json`, which a driver may have parsed."""
    if isinstance(notification, bytes):
        return notification.decode("utf-8", "replace")
    return notification if isinstance(notification, str) else msgspec.json.encode(notification).decode()
