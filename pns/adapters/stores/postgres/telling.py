"""Events for the application in PostgreSQL, written in the transaction of their cause.

Statements stand in webhooks.sql. Every function runs inside the writer's transaction. A kind without
events costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pns.adapters.stores.additions import Added
from pns.adapters.stores.postgres.rows import Session, affected, safe_id, single_column, single_value
from pns.adapters.stores.webhooks import Row, marked, removed
from pns.model.webhook import RemovedDevice, WebhookKind, WebhookTerms


async def wait_to_tell(session: Session, added: Sequence[Added], *, terms: WebhookTerms) -> None:
    """Note the stored notifications `added`, to be told later."""
    if WebhookKind.UNSEEN not in terms.kinds:
        return
    new = {
        "user_ids": [one.draft.user_id for one in added],
        "notification_ids": [one.draft.notification_id for one in added],
        "nows": [one.now for one in added],
        "unseen_after": terms.unseen_after,
        "unseen_every": terms.unseen_every,
    }
    await affected(session, "wait_to_tell", new)


async def tell_seen(session: Session, name: str, where: Mapping[str, object], *, terms: WebhookTerms) -> None:
    """Write the events of a mark that makes notifications seen. Statement `name` finds their ids."""
    await tell_marked(session, name, where, kind=WebhookKind.SEEN, terms=terms)


async def tell_marked(
    session: Session, name: str, where: Mapping[str, object], *, kind: WebhookKind, terms: WebhookTerms
) -> None:
    """The same for events of `kind`. `where`: the parameters of the mark, with `user_key` and `now`."""
    if kind in terms.kinds:
        await insert(
            session, marked(where, await single_column(session, name, where), kind=kind, terms=terms)
        )


async def tell_removed(
    session: Session, user_id: str, device: RemovedDevice, *, terms: WebhookTerms, now: int
) -> None:
    """Write the event of a device, called dead by its network."""
    if WebhookKind.DEVICE_REMOVED in terms.kinds:
        user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
        if user_key is not None:
            await insert(session, [removed(user_key, device, terms=terms, now=now)])


async def insert(session: Session, new: Sequence[Row]) -> None:
    """Write events."""
    if new:
        await affected(session, "insert_event", {name: [row[name] for row in new] for name in new[0]})
