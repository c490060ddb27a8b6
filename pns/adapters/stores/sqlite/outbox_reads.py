"""Reading the outbox: devices, what is due, what became of pushes.

Every function takes a raw connection and runs in its thread, outside any transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from pns.adapters.stores.dismissed import UntoldRow
from pns.adapters.stores.due import OwnedDeviceRow, StatusRow, device_of, status_of
from pns.adapters.stores.sqlite.rows import Parameters, all_rows, json_array, row
from pns.contracts.outbox import Backlog
from pns.model.device import Device, address_hash
from pns.model.push import PushState, PushStatus


def devices(connection: sqlite3.Connection, user_id: str) -> list[Device]:
    """See Outbox.devices."""
    return found_devices(connection, "devices", {"user_id": user_id})


def device(connection: sqlite3.Connection, device_id: str) -> Device | None:
    """See Outbox.device."""
    found = found_devices(connection, "device", {"device_id": device_id})
    return found[0] if found else None


def device_at(connection: sqlite3.Connection, network: str, address: str) -> Device | None:
    """See Outbox.device_at."""
    found = found_devices(
        connection, "device_at", {"address_hash": address_hash(address), "network": network}
    )
    return found[0] if found else None


def all_devices(connection: sqlite3.Connection, after: str, limit: int) -> list[Device]:
    """See Outbox.all_devices."""
    return found_devices(connection, "all_devices", {"after": after, "limit": limit})


def found_devices(connection: sqlite3.Connection, name: str, parameters: Parameters) -> list[Device]:
    """The devices that statement `name` finds."""
    return [device_of(row) for row in all_rows(connection, name, parameters, kind=OwnedDeviceRow)]


def next_due(connection: sqlite3.Connection) -> Mapping[str, int]:
    """See Outbox.next_due."""
    return dict(all_rows(connection, "next_due", (), kind=tuple[str, int]))


def pushes(connection: sqlite3.Connection, user_id: str, notification_id: str) -> list[PushStatus]:
    """See Outbox.pushes."""
    asked = {"user_id": user_id, "notification_id": notification_id}
    return [status_of(row) for row in all_rows(connection, "pushes", asked, kind=StatusRow)]


def still_unseen(connection: sqlite3.Connection, user_id: str, ids: Sequence[str]) -> set[str]:
    """See Outbox.still_unseen."""
    asked = {"user_id": user_id, "notification_ids": json_array(ids)}
    return {found for (found,) in all_rows(connection, "still_unseen", asked, kind=tuple[str])}


def any_untold(connection: sqlite3.Connection, user_id: str) -> bool:
    """Whether there is anything to dismiss."""
    return row(connection, "untold", {"user_id": user_id, "limit": 1}, kind=UntoldRow) is not None


def stale(connection: sqlite3.Connection, after: int, limit: int) -> tuple[list[str], int]:
    """See Outbox.stale. The last user found may have more than was looked at, and is named in any case."""
    where = {"after": after, "limit": limit}
    found = all_rows(connection, "stale", where, kind=tuple[int, str, int])
    users = dict.fromkeys(user_id for _, user_id, untold in found if untold)
    if len(found) < limit:
        return list(users), 0
    return list(users | {found[-1][1]: None}), found[-1][0]


def backlog(connection: sqlite3.Connection) -> list[Backlog]:
    """See Outbox.backlog."""
    found = all_rows(connection, "backlog", (), kind=tuple[str, str, int, int | None, str | None])
    return [
        Backlog(gateway, PushState(state), count, oldest, reason)
        for gateway, state, count, oldest, reason in found
    ]
