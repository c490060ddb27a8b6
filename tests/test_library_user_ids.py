"""User ids as an application's code has them: UUID keys, and values that are no user ids, at every method."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.websockets import WebSocket

from pns import PNS, Notification, NotStarted
from pns.testing import temporary_pns
from pns.testing.temporary import empty_store

USER = UUID("0B6F1C9E-6F0A-4F0E-9D3A-2F6B6A6D1C11")
TEXT = "0b6f1c9e-6f0a-4f0e-9d3a-2f6b6a6d1c11"


async def _nothing(*_: Any) -> Any:
    raise AssertionError("reached")


WEBSOCKET = WebSocket({"type": "websocket"}, _nothing, _nothing)

CALLS: dict[str, Callable[[PNS, Any], Awaitable[object]]] = {
    "notify": lambda pns, user: pns.notify(user, "x"),
    "notify_sync": lambda pns, user: asyncio.to_thread(pns.notify_sync, user, "x"),
    "withdraw_sync": lambda pns, user: asyncio.to_thread(pns.withdraw_sync, user, "id"),
    "disconnect_sync": lambda pns, user: asyncio.to_thread(pns.disconnect_sync, user),
    "erase_sync": lambda pns, user: asyncio.to_thread(pns.erase_sync, user),
    "subscribe": lambda pns, user: pns.subscribe(WEBSOCKET, user),
    "user": lambda pns, user: pns.user(user),
    "seen": lambda pns, user: pns.seen(user),
    "mark": lambda pns, user: pns.mark(user, "seen", all=True),
    "mark_sync": lambda pns, user: asyncio.to_thread(pns.mark_sync, user, "seen", all=True),
    "withdraw": lambda pns, user: pns.withdraw(user, "id"),
    "pending": lambda pns, user: anext(pns.pending(user)),
    "timeline": lambda pns, user: pns.timeline(user),
    "export": lambda pns, user: anext(pns.export(user)),
    "disconnect": lambda pns, user: pns.disconnect(user),
    "erase": lambda pns, user: pns.erase(user),
    "install": lambda pns, user: pns.install(user, {"network": "mqtt"}),
    "uninstall": lambda pns, user: pns.uninstall(user, "device"),
    "devices": lambda pns, user: pns.devices(user),
    "pushes": lambda pns, user: pns.pushes(user, "id"),
    "subscribe_to": lambda pns, user: pns.subscribe_to(user, bucket="orders"),
    "unsubscribe_from": lambda pns, user: pns.unsubscribe_from(user, bucket="orders"),
    "subscriptions": lambda pns, user: pns.subscriptions(user),
    "preferences": lambda pns, user: pns.preferences(user),
    "set_preferences": lambda pns, user: pns.set_preferences(user, {}),
    "unsubscribe_token": lambda pns, user: pns.unsubscribe_token(user, "comments"),
}


def test_every_method_is_tried() -> None:
    methods = inspect.getmembers(PNS, inspect.isfunction)
    assert set(CALLS) == {
        name for name, method in methods if "user_id" in inspect.signature(method).parameters
    }


async def test_a_uuid_is_taken_as_its_text() -> None:
    async with temporary_pns() as pns:
        await pns.notify(USER, ["one", Notification("two", notification_id="2")])
        assert (await pns.user(TEXT)).unseen == 2
        await asyncio.to_thread(pns.withdraw_sync, USER, "2")
        assert [item.notification_data async for item in pns.export(USER)] == ["one"]
        await pns.subscribe_to(USER, bucket="orders")
        assert (await pns.subscriptions(TEXT)).buckets == ["orders"]
        assert await pns.seen(USER) == 0
        await pns.erase(USER)
        assert (await pns.subscriptions(TEXT)).buckets == []


@pytest.mark.parametrize("user_id", [Decimal(42), b"42", True, None, 42.0, ["42"], object()])
async def test_another_type_is_a_type_error_that_names_the_method(user_id: object) -> None:
    async with temporary_pns() as pns:
        for name, call in CALLS.items():
            wanted = f"^{name.removesuffix('_sync')}: .*not {type(user_id).__name__}: .*str\\(user.pk\\)"
            with pytest.raises(TypeError, match=wanted):
                await call(pns, user_id)
        with pytest.raises(TypeError, match=r"^notify: "):
            await pns.notify(user_id, [])  # type: ignore[arg-type]


async def test_not_started_comes_first(tmp_path: Path) -> None:
    pns = PNS(f"sqlite:///{empty_store(tmp_path / 'pns.db')}")
    for call in CALLS.values():
        with pytest.raises(NotStarted):
            await call(pns, USER)
