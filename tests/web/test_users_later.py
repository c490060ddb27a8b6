"""Pending notifications as the application makes, lists, exports and takes them back, good and bad."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest

from pns import Invalid, Notification
from pns.model.timestamp import DAY, SECOND, format_timestamp
from pns.testing import FakeClock, temporary_pns
from tests.web.edge import Edge, in_time
from tests.web.test_user_devices import notify

NOTIFICATIONS = "/users/alice/notifications"
PENDING = f"{NOTIFICATIONS}?pending=true"


def ahead(clock: FakeClock, microseconds: int) -> str:
    return format_timestamp(clock.now() + microseconds)


async def ids(edge: Edge, path: str = PENDING) -> list[str]:
    answer = await edge.application.get(path)
    assert answer.status_code == 200, answer.text
    return [item["notification_id"] for item in answer.json()["notifications"]]


async def has_unseen(edge: Edge, user: str = "alice") -> bool:
    return bool((await edge.application.get(f"/users/{user}")).json()["unseen"])


async def submit(edge: Edge, path: str = "/notify", **members: Any) -> httpx.Response:
    to = {"user_id": "alice"} if path == "/notify" else {}
    return await edge.application.post(path, json={**to, "notifications": [members]})


async def test_it_waits_and_is_delivered(edge: Edge, clock: FakeClock) -> None:
    at = ahead(clock, 60 * SECOND)
    for _ in range(2):
        answer = await submit(edge, notification_data="x", notification_id="a", deliver_date=at)
        assert answer.json() == {"notification_ids": ["a"]}
    assert (answer.status_code, await ids(edge, NOTIFICATIONS)) == (200, [])
    other = await submit(edge, notification_data="y", notification_id="a")
    assert (other.status_code, other.json()["code"]) == (409, "notification_id_conflict")
    item = {
        "notification_id": "a",
        "notification_data": "x",
        "create_date": at,
        "seen_date": None,
        "deliver_date": at,
    }
    assert (await edge.application.get(PENDING)).json() == {"notifications": [item]}
    lines = (await edge.application.get("/users/alice/export")).text.splitlines()
    assert [json.loads(line) for line in lines] == [{"pending": item}]
    device = edge.device("alice")
    seen = (await device.post("/messages", json={"unseenNotificationDataRequest": {}})).json()
    assert seen == {"newNotificationData": []}
    clock.advance(60)
    await in_time(clock, lambda: has_unseen(edge))
    (kept,) = (await edge.application.get(NOTIFICATIONS)).json()["notifications"]
    assert kept == {name: value for name, value in item.items() if name != "deliver_date"}
    assert await ids(edge) == []


async def test_it_is_taken_back(edge: Edge, clock: FakeClock) -> None:
    for id in "ab":
        await notify(edge, notification_id=id, deliver_date=ahead(clock, 60 * SECOND))
    for _ in range(2):
        assert (await edge.application.delete(f"{NOTIFICATIONS}/a")).status_code == 204
    assert await ids(edge) == ["b"]
    assert (await edge.application.delete("/users/alice")).status_code == 204
    assert await ids(edge) == []


async def test_pages_of_what_waits(edge: Edge, clock: FakeClock) -> None:
    for id, seconds, category in (("c", 9, None), ("a", 20, "x"), ("b", 20, None)):
        more = {} if category is None else {"category": category}
        await notify(edge, notification_id=id, deliver_date=ahead(clock, seconds * SECOND), **more)
    assert await ids(edge) == ["c", "a", "b"]
    assert await ids(edge, f"{PENDING}&limit=2") == ["c", "a"]
    assert await ids(edge, f"{PENDING}&after=a") == ["b"]
    assert await ids(edge, f"{PENDING}&before=") == ["b", "a", "c"]
    assert await ids(edge, f"{PENDING}&before=b&limit=1") == ["a"]
    assert await ids(edge, f"{PENDING}&category=x") == ["a"]
    assert await ids(edge, "/users/nobody/notifications?pending=true") == []


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("pending=false", "pending"),
        ("pending=", "pending"),
        ("pending=true&unread=true", "unread"),
        ("pending=true&archived=false", "archived"),
        ("pending=true&after=never", "after"),
        ("pending=true&before=never", "before"),
        ("pending=true&limit=0", "limit"),
    ],
)
async def test_a_list_that_cannot_be(edge: Edge, query: str, at: str) -> None:
    answer = await edge.application.get(f"{NOTIFICATIONS}?{query}")
    assert (answer.status_code, [each["at"] for each in answer.json()["errors"]]) == (422, [at])


@pytest.mark.parametrize(
    ("microseconds", "more", "wrong"),
    [
        (400 * DAY, {}, None),
        (400 * DAY + 1, {}, ("deliver_date", "at most 400 days ahead")),
        (-400 * DAY, {}, None),
        (SECOND, {"create_date": "2026-11-21T19:31:00Z"}, ("deliver_date", "leave create_date out")),
        (-SECOND, {"create_date": "2026-11-21T19:31:00Z"}, ("deliver_date", "leave create_date out")),
        (SECOND, {"expire_date": "2026-11-21T19:31:00Z"}, ("expire_date", "later than deliver_date")),
    ],
)
async def test_its_date(
    edge: Edge, clock: FakeClock, microseconds: int, more: dict[str, str], wrong: tuple[str, str] | None
) -> None:
    date = ahead(clock, microseconds)
    for path in ("/notify", "/broadcast"):
        answer = await submit(edge, path, notification_data="x", deliver_date=date, **more)
        if path == "/broadcast" and wrong is None:
            wrong = ("deliver_date", "must be left out: a publication")
        if wrong is None:
            assert answer.status_code == 201
            continue
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["at"].split("/")[-1]) == (422, wrong[0])
        assert wrong[1] in error["message"]
    for wild in ("tomorrow", 17, "2026-11-21T19:31:00"):
        assert (await submit(edge, notification_data="x", deliver_date=wild)).status_code == 422


async def test_an_expire_date_at_the_same_moment_is_no_later(edge: Edge, clock: FakeClock) -> None:
    at, next = ahead(clock, SECOND), ahead(clock, SECOND + 1)
    same = await submit(edge, notification_data="x", deliver_date=at, expire_date=at)
    assert same.json()["errors"][0]["at"] == "/notifications/0/expire_date"
    assert (await submit(edge, notification_data="x", deliver_date=at, expire_date=next)).status_code == 201


async def test_the_library_says_the_same(clock: FakeClock) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now() + SECOND)
    async with temporary_pns(clock=clock) as pns:
        await pns.notify("alice", [Notification("x", "a", deliver_date=at), "now"])
        assert [item.notification_id async for item in pns.pending("alice")] == ["a"]
        assert [item.notification_data async for item in pns.export("alice")] == ["now"]
        with pytest.raises(Invalid, match="create_date"):
            await pns.notify("alice", Notification("x", create_date=at, deliver_date=at))
        with pytest.raises(Invalid, match="publication"):
            await pns.broadcast(Notification("x", deliver_date=at))
        await pns.withdraw("alice", "a")
        assert [item async for item in pns.pending("alice")] == []
