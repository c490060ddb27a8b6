"""The tools for the tests of a host, used as a host would."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from pns import PNS, Notification, NotStarted
from pns.testing import Closed, Device, FakeClock, Refused, temporary_pns
from pns.transactional.sqlalchemy import notify, outgoing


def by_header(request: HTTPConnection) -> str | None:
    return request.headers.get("user")


async def test_a_conversation_without_a_network() -> None:
    async with (
        temporary_pns(user=by_header) as pns,
        Device.connect(pns, headers={"user": "42"}) as phone,
        Device.connect(pns, headers={"user": "42"}) as desk,
    ):
        await phone.count_is(0)
        await desk.count_is(0)
        (first,) = await pns.notify("42", "Invoice ready")
        await phone.count_is(1)
        await desk.count_is(1)
        assert [item["notification_id"] for item in await phone.unseen()] == [first]
        await desk.count_is(0)
        assert [item["notification_data"] for item in await desk.seen()] == ["Invoice ready"]
        assert desk.counts == [0, 1, 0]
        assert "pns_device=" in phone.accept_headers["set-cookie"]


async def test_the_hosts_own_transactions_notify(tmp_path: Path) -> None:
    """A commit on the same engine is told at once, while time stands still. A rollback is told nobody."""
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    async with (
        temporary_pns(user=by_header, outgoing=engine) as pns,
        Device.connect(pns, headers={"user": "42"}) as phone,
    ):
        with Session(engine) as session:
            notify(session, "42", "Order cancelled")
            session.rollback()
            notify(session, "42", "Order shipped")
            session.commit()
        await phone.count_is(1)
        assert [item["notification_data"] for item in await phone.unseen()] == ["Order shipped"]
    engine.dispose()


async def test_a_stranger_is_refused_with_the_status() -> None:
    async with temporary_pns(user=by_header) as pns:
        with pytest.raises(Refused) as refused:
            async with Device.connect(pns):
                pass
        assert refused.value.status == 401
        assert b"unauthorized" in refused.value.body


async def test_time_is_in_the_hand_of_the_test() -> None:
    clock = FakeClock()
    async with (
        temporary_pns(user=by_header, clock=clock) as pns,
        Device.connect(pns, headers={"user": "42"}) as device,
    ):
        tomorrow = datetime.fromtimestamp(clock.now() / 1e6, UTC) + timedelta(days=1)
        await pns.notify("42", Notification("today only", expire_date=tomorrow))
        await device.count_is(1)
        clock.advance(2 * 86_400)
        await device.count_is(0)


async def test_a_device_sees_its_close_code_and_whatever_came_before() -> None:
    async with (
        temporary_pns(user=by_header) as pns,
        Device.connect(pns, headers={"user": "42"}) as device,
    ):
        await device.count_is(0)
        await pns.erase("42")
        assert await device.closed() == 4501
        with pytest.raises(Closed):
            await device.receive()


async def test_before_the_start_it_says_what_to_add() -> None:
    device = Device.connect(PNS("sqlite:///unused.db"))
    with pytest.raises(NotStarted):
        await device.__aenter__()


async def test_it_ends_with_devices_still_connected() -> None:
    async with temporary_pns(user=by_header) as pns:
        connected = Device.connect(pns, headers={"user": "42"})
        open_device = await connected.__aenter__()
        folder = Path(pns.settings.store.url.removeprefix("sqlite:///")).parent
        assert os.listdir(folder)
    assert await open_device.closed() == 1012
    await connected.__aexit__(None, None, None)
    with pytest.raises(FileNotFoundError):
        os.listdir(folder)


async def test_a_failing_application_fails_the_test() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError):
        async with Device.connect(broken):
            pass


async def test_a_count_that_never_comes_is_told_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    async with (
        temporary_pns(user=by_header, clock=clock) as pns,
        Device.connect(pns, headers={"user": "42"}) as device,
    ):
        await device.count_is(0)
        tomorrow = datetime.fromtimestamp(clock.now() / 1e6, UTC) + timedelta(days=1)
        await pns.notify("42", Notification("Issue 7 is out", deliver_date=tomorrow))
        with monkeypatch.context() as impatient:
            impatient.setattr("pns.testing.device.PATIENCE_SECONDS", 0)
            with pytest.raises(TimeoutError, match=r"^the count is 0, not 1; .* clock\.advance"):
                await device.count_is(1)
        clock.advance(86_400)
        await device.count_is(1)


async def test_a_device_that_was_told_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        await receive()

    async with Device.connect(silent) as device:
        with monkeypatch.context() as impatient:
            impatient.setattr("pns.testing.device.PATIENCE_SECONDS", 0)
            with pytest.raises(TimeoutError, match=r"^no count came; "):
                await device.count_is(1)


async def test_a_device_of_an_application_with_pns_inside() -> None:
    async with temporary_pns(user=by_header) as pns:
        app = Starlette(routes=[Mount("/pns", pns)])
        async with Device.connect(app, path="/pns/subscribe", headers={"user": "42"}) as device:
            await pns.notify("42", "Invoice ready")
            await device.count_is(1)


async def test_what_came_can_be_read_without_waiting() -> None:
    async with temporary_pns(user=by_header) as pns:
        device = Device(pns, headers={"user": "42"})
        await device.open()
        await device.count_is(0)
        assert device.received() == []
        await device.vanish()
        with pytest.raises(Closed):
            await device.receive()
