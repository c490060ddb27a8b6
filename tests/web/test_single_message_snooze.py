"""Snoozing as a device asks for it, on a connection and by POST /messages, good and bad."""

from __future__ import annotations

from typing import Any

import pytest

from pns.model.timestamp import DAY, SECOND, format_timestamp
from pns.testing import Device, FakeClock, temporary_pns
from tests.web.edge import Edge, in_time
from tests.web.test_user_devices import notify
from tests.web.test_users_later import ahead, has_unseen, ids


async def test_a_message_without_a_connection_snoozes(edge: Edge, clock: FakeClock) -> None:
    await notify(edge, notification_id="a")
    device, until = edge.device("alice"), ahead(clock, 60 * SECOND)
    answer = await device.post("/messages", json={"snoozeNotification": {"id": "a", "until": until}})
    assert answer.json() == {"notificationSnoozed": {"id": "a", "until": until}}
    assert (await ids(edge), await has_unseen(edge)) == (["a"], False)
    marked = {"markNotifications": {"as": "read", "ids": ["a"]}}
    assert (await device.post("/messages", json=marked)).json()["notificationsMarked"]["changed"] == 0
    await in_time(clock, lambda: has_unseen(edge))
    shown = (await device.post("/messages", json={"unseenNotificationDataRequest": {}})).json()
    assert [item["notification_id"] for item in shown["newNotificationData"]] == ["a"]


BAD: list[tuple[Any, str]] = [
    ({"id": "a"}, "bad_request: snoozeNotification: until"),
    ({"until": "2026-12-01T09:00:00Z"}, "bad_request: snoozeNotification: id"),
    ({"id": "a", "until": "tomorrow"}, "bad_request: snoozeNotification: until"),
    ({"id": "a", "until": "2026-12-01T09:00:00"}, "bad_request: snoozeNotification: until"),
    ({"id": "a", "until": 5}, "bad_request: snoozeNotification: until"),
    ({"id": 5, "until": "2026-12-01T09:00:00Z"}, "bad_request: snoozeNotification: id"),
    ({"id": "a", "until": "2026-12-01T09:00:00Z", "for": 1}, "bad_request: snoozeNotification: for"),
    (
        {"id": "a", "until": "9999-12-31T23:59:59-01:00"},
        "bad_request: snoozeNotification: until must be",
    ),
    (None, "bad_request: snoozeNotification"),
    ("a", "bad_request: snoozeNotification"),
]


@pytest.mark.parametrize(("body", "told"), BAD)
async def test_a_bad_snooze_names_the_member_and_the_remedy(edge: Edge, body: Any, told: str) -> None:
    await notify(edge, notification_id="a")
    answer = await edge.device("alice").post("/messages", json={"snoozeNotification": body})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"].startswith(told), answer.text
    assert await has_unseen(edge)


async def test_the_latest_time(edge: Edge, clock: FakeClock) -> None:
    await notify(edge, notification_id="a")
    device = edge.device("alice")
    for microseconds, status in ((400 * DAY + 1, 422), (400 * DAY, 200)):
        snooze = {"id": "a", "until": ahead(clock, microseconds)}
        assert (await device.post("/messages", json={"snoozeNotification": snooze})).status_code == status


async def test_what_is_not_there_cannot_be_snoozed(edge: Edge, clock: FakeClock) -> None:
    later = ahead(clock, 60 * SECOND)
    await notify(edge, notification_id="pending", deliver_date=later)
    await notify(edge, notification_id="taken-back")
    await edge.application.delete("/users/alice/notifications/taken-back")
    await notify(edge, user="bob", notification_id="bobs")
    for id in ("never", "pending", "taken-back", "bobs", ""):
        snooze = {"snoozeNotification": {"id": id, "until": later}}
        answer = await edge.device("alice").post("/messages", json=snooze)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_notification"), id
    assert await has_unseen(edge, "bob")


async def test_every_open_page_follows(clock: FakeClock) -> None:
    """The asking connection is answered; the count falls and rises on all; the numbers are told as well."""
    async with (
        temporary_pns(user=lambda request: request.headers.get("user"), clock=clock) as pns,
        Device.connect(pns, headers={"user": "ann"}) as here,
        Device.connect(pns, headers={"user": "ann"}) as there,
    ):
        (id,) = await pns.notify("ann", "x")
        await here.count_is(1)
        await there.count_is(1)
        until = format_timestamp(clock.now() + 60 * SECOND)
        assert await here.snooze(id, until) == until
        await here.count_is(0)
        await there.count_is(0)
        assert await there.unseen() == []
        clock.advance(60)
        await clock.until_sleeping()
        await here.count_is(1)
        await there.count_is(1)
        assert [item["notification_id"] for item in await there.unseen(ack=True)] == [id]
        wrong = await here.ask({"snoozeNotification": {"id": "never", "until": until}})
        assert wrong["error"]["code"] == "unknown_notification"
        far = {"id": id, "until": format_timestamp(clock.now() + 400 * DAY + 1)}
        wrong = await here.ask({"snoozeNotification": far})
        assert wrong["error"]["code"] == "bad_request"
        assert "until must be at most 400 days ahead" in wrong["error"]["message"]
