"""`notify` inside a transaction of SQLAlchemy, and the table that `notify` writes to.

A transaction that is rolled back notifies nobody, and neither does a savepoint. A transaction that is
committed notifies even if the process dies right after. Nothing here talks to PNS: a forwarder does, later.
"""

from __future__ import annotations

from datetime import datetime
from time import time_ns
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, registry, scoped_session
from sqlalchemy.sql.functions import FunctionElement

from pns.model.device import UserId
from pns.model.outgoing import microseconds, new_rows
from pns.model.plain import Notifications

WROTE = "pns_outgoing"
"""The mark in the `info` of a connection that has written rows; the forwarder of the same engine reads it."""
_NEWEST = "pns_outgoing_newest"
_NO_SESSION = (
    "notify takes a Session, an AsyncSession or a Connection, not {kind}; with an AsyncConnection write "
    '`await connection.run_sync(notify, "42", "Order shipped")`'
)

Writer = Session | AsyncSession | Connection | scoped_session[Any] | async_scoped_session[Any]


class _Woken(FunctionElement[str]):
    """NULL. On PostgreSQL, the forwarders are told of the row when its transaction commits."""

    inherit_cache = True
    type = Text()


class _Now(FunctionElement[datetime]):
    """The time of the statement, not of the transaction, in UTC: rows of one transaction keep their order."""

    inherit_cache = True
    type = DateTime(timezone=True)


@compiles(_Woken)
def _null(element: _Woken, compiler: Any, **options: Any) -> str:
    return "NULL"


@compiles(_Woken, "postgresql")
def _told(element: _Woken, compiler: Any, **options: Any) -> str:
    return "nullif(CAST(pg_notify('pns_outgoing', '') AS text), '')"


@compiles(_Now)
def _now(element: _Now, compiler: Any, **options: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(_Now, "postgresql")
def _clock(element: _Now, compiler: Any, **options: Any) -> str:
    return "clock_timestamp()"


@compiles(_Now, "sqlite")
def _strftime(element: _Now, compiler: Any, **options: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now'))"


@compiles(_Now, "mysql", "mariadb")
def _utc(element: _Now, compiler: Any, **options: Any) -> str:
    return "(utc_timestamp(6))"


def _name(length: int) -> Any:
    """A text that is compared byte by byte, as PNS compares ids; MySQL would fold `a` and `A`."""
    kept = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(kept, "mysql", "mariadb")


def _text() -> Any:
    return Text().with_variant(
        mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _moment() -> Any:
    return DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


outgoing = Table(
    "pns_outgoing",
    MetaData(),
    Column("id", _name(64), nullable=False),
    Column("user_id", _name(255), nullable=False),
    Column("notification", _text(), nullable=False),
    Column("created_at", _moment(), nullable=False, server_default=_Now()),
    Column("failed_at", _moment()),
    Column("problem", _text(), default=_Woken()),
    PrimaryKeyConstraint("user_id", "id"),
    Index("pns_outgoing_waiting", "failed_at", "created_at", "id"),
)
"""The table, of a MetaData of its own. Alembic finds the table with `target_metadata = [Base.metadata,
outgoing.metadata]`; without Alembic, `outgoing.create(engine, checkfirst=True)` makes the table."""


class _Row:
    """A row of `outgoing` in a session."""


registry(metadata=outgoing.metadata).map_imperatively(_Row, outgoing)


@event.listens_for(_Row, "after_insert")
def _wrote(mapper: object, connection: Connection, row: _Row) -> None:
    connection.info[WROTE] = True


def notify(session: Writer, user_id: UserId, notifications: Notifications) -> list[str]:
    """Notify a user if and when the transaction of `session` commits; returns the notifications' ids.

    Takes what `PNS.notify` takes: a text, a dict, a pns.Notification, or several. Nothing is awaited: as
    with a session's `add`, a session writes the rows at its next flush. A Connection writes at once.

    Raises Invalid and TypeError, as `PNS.notify` does, before anything is written. A `notification_id` that
    waits already for the same user is an IntegrityError of the transaction.
    """
    if not isinstance(session, Session | AsyncSession | Connection | scoped_session | async_scoped_session):
        raise TypeError(_NO_SESSION.format(kind=type(session).__name__))
    rows = new_rows(user_id, notifications, now=time_ns() // 1000, newest=session.info.get(_NEWEST, 0))
    if rows:
        session.info[_NEWEST] = microseconds(rows[-1].created_at)
        _write(session, [row._asdict() for row in rows])
    return [row.id for row in rows]


def _write(session: Writer, rows: list[dict[str, Any]]) -> None:
    if isinstance(session, Connection):
        session.execute(outgoing.insert(), rows)
        session.info[WROTE] = True
    else:
        session.add_all(_row(values) for values in rows)


def _row(values: dict[str, Any]) -> _Row:
    row = _Row()
    for name, value in values.items():
        setattr(row, name, value)
    return row
