"""Events for the application in SQLite, written in the transaction of their cause.

Statements stand in webhooks.sql. Every function runs inside the writer's transaction. A kind without
events costs nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from pns.adapters.stores.sqlite.rows import affected, all_rows, row
from pns.adapters.stores.webhooks import marked, removed
from pns.model.webhook import RemovedDevice, WebhookKind, WebhookTerms


def tell_seen(
    connection: sqlite3.Connection, name: str, where: Mapping[str, object], *, terms: WebhookTerms
) -> None:
    """Write the events of a mark that makes notifications seen. Statement `name` finds their ids."""
    tell_marked(connection, name, where, kind=WebhookKind.SEEN, terms=terms)


def tell_marked(
    connection: sqlite3.Connection,
    name: str,
    where: Mapping[str, object],
    *,
    kind: WebhookKind,
    terms: WebhookTerms,
) -> None:
    """The same for events of `kind`. `where`: the parameters of the mark, with `user_key` and `now`."""
    if kind not in terms.kinds:
        return
    ids = [id for (id,) in all_rows(connection, name, where, kind=tuple[str])]
    for new in marked(where, ids, kind=kind, terms=terms):
        affected(connection, "insert_event", new)


def tell_removed(
    connection: sqlite3.Connection, user_id: str, device: RemovedDevice, *, terms: WebhookTerms, now: int
) -> None:
    """Write the event of a device, called dead by its network."""
    if WebhookKind.DEVICE_REMOVED in terms.kinds:
        user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
        if user is not None:
            affected(connection, "insert_event", removed(user[0], device, terms=terms, now=now))
