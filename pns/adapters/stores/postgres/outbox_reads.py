"""Reading the outbox: devices, due times, states of pushes; and the users to lock before a write.

Every function runs a statement or two. A function for `Write.find` runs inside the write's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pns.adapters.stores.due import OwnedDeviceRow, StatusRow, device_of, status_of
from pns.adapters.stores.postgres.rows import Session, rows, safe_id, tuples
from pns.adapters.stores.postgres.writes import Found
from pns.contracts.outbox import Backlog
from pns.model.device import Device, address_hash
from pns.model.push import PushState, PushStatus


async def devices(session: Session, user_id: str) -> list[Device]:
    """See Outbox.devices."""
    return await found_devices(session, "devices", {"user_id": safe_id(user_id)})


async def device(session: Session, device_id: str) -> Device | None:
    """See Outbox.device."""
    found = await found_devices(session, "device", {"device_id": safe_id(device_id)})
    return found[0] if found else None


async def all_devices(session: Session, after: str, limit: int) -> list[Device]:
    """See Outbox.all_devices."""
    return await found_devices(session, "all_devices", {"after": safe_id(after), "limit": limit})


async def found_devices(session: Session, name: str, parameters: Mapping[str, object]) -> list[Device]:
    """The devices that statement `name` finds."""
    return [device_of(row) for row in await rows(session, name, parameters, kind=OwnedDeviceRow)]


async def device_at(session: Session, network: str, address: str) -> Device | None:
    """See Outbox.device_at."""
    where = {"address_hash": address_hash(address), "network": network}
    found = await found_devices(session, "device_at", where)
    return found[0] if found else None


async def still_unseen(session: Session, user_id: str, ids: Sequence[str]) -> set[str]:
    """See Outbox.still_unseen."""
    asked = {"user_id": safe_id(user_id), "notification_ids": [*map(safe_id, ids)]}
    return {found for (found,) in await tuples(session, "still_unseen", asked)}


async def any_untold(session: Session, user_id: str) -> bool:
    """Whether the user has something to dismiss."""
    return bool(await tuples(session, "untold", {"user_id": safe_id(user_id), "limit": 1}))


async def next_due(session: Session) -> Mapping[str, int]:
    """See Outbox.next_due."""
    return dict(await tuples(session, "next_due", {}))


async def pushes(session: Session, user_id: str, notification_id: str) -> list[PushStatus]:
    """See Outbox.pushes."""
    asked = {"user_id": safe_id(user_id), "notification_id": safe_id(notification_id)}
    return [status_of(row) for row in await rows(session, "pushes", asked, kind=StatusRow)]


async def stale(session: Session, after: int, limit: int) -> tuple[list[str], int]:
    """See Outbox.stale. The last user is named in any case, for more of this user's pushes may follow."""
    found = await tuples(session, "stale", {"after": after, "limit": limit})
    users = dict.fromkeys(user_id for _, user_id, untold in found if untold)
    if len(found) < limit:
        return list(users), 0
    return list(users | {found[-1][1]: None}), found[-1][0]


async def backlog(session: Session) -> list[Backlog]:
    """See Outbox.backlog."""
    found = await tuples(session, "backlog", {})
    return [
        Backlog(gateway, PushState(state), count, oldest, reason)
        for gateway, state, count, oldest, reason in found
    ]


# ── whom to lock ──────────────────────────────────────────────────────────────────────────────────────


async def owners(session: Session, device_ids: Sequence[str]) -> Found:
    """The owners of these devices."""
    return await tuples(session, "owners", {"device_ids": [*map(safe_id, device_ids)]})


async def owner_of_address(session: Session, network: str, address_hash: str) -> Found:
    """The owner of an address."""
    where = {"network": network, "address_hash": address_hash}
    return await tuples(session, "owner_of_address", where)


async def at_gateway(session: Session, source: str, network: str, *, limit: int) -> Found:
    """Some devices at a gateway, after their owners' keys."""
    where = {"source": source, "network": network, "limit": limit}
    return await tuples(session, "at_gateway", where)


async def ended_devices(session: Session, now: int, limit: int) -> Found:
    """Some devices whose registration has ended by itself, after their owners' keys."""
    return await tuples(session, "ended_devices", {"now": now, "limit": limit})
