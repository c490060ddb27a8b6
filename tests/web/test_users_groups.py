"""Groups as the application makes them and as every reader is shown them, good and bad."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pns import GroupMember, Invalid, Notification
from pns.testing import Device, FakeClock, temporary_pns
from tests.web.edge import Edge, in_time
from tests.web.test_user_devices import notify

NOTIFICATIONS = "/users/alice/notifications"


async def like(edge: Edge, id: str, data: str | None = None) -> None:
    group = {"member": f"user:{id[0]}"} | ({} if data is None else {"data": data})
    await notify(edge, notification_id=id, collapse_key="k", group=group)


async def listed(edge: Edge) -> list[dict[str, Any]]:
    answer = await edge.application.get(NOTIFICATIONS)
    found: list[dict[str, Any]] = answer.json()["notifications"]
    return found


async def test_every_list_shows_the_group(edge: Edge) -> None:
    for id, data in (("a1", '{"name": "Ann"}'), ("b1", ""), ("c1", None), ("d1", None), ("a2", None)):
        await like(edge, id, data)
    group = {
        "times": 5,
        "members": 4,
        "latest": [
            {"member": "user:a", "data": '{"name": "Ann"}'},
            {"member": "user:d"},
            {"member": "user:c"},
        ],
    }
    assert [item["group"] for item in await listed(edge)] == [group]
    lines = map(json.loads, (await edge.application.get("/users/alice/export")).text.splitlines())
    assert [line["notification"]["group"] for line in lines if "notification" in line] == [group]
    device = edge.device("alice")
    for request, answer in (
        ("unseenNotificationDataRequest", "newNotificationData"),
        ("seenNotificationsRequest", "seenNotificationData"),
    ):
        found = (await device.post("/messages", json={request: {}})).json()[answer]
        assert [(item["notification_id"], item["group"]) for item in found] == [("a2", group)]


async def test_one_without_a_group_has_no_such_member(edge: Edge) -> None:
    await notify(edge, collapse_key="k", group=None)
    assert [item for item in await listed(edge) if "group" in item] == []


async def test_repeats_unlikes_and_withdrawals(edge: Edge) -> None:
    for id in ("a1", "b1", "b2"):
        await like(edge, id)
    again = {"notification_data": "x", "notification_id": "a1"}
    body = {"user_id": "alice", "notifications": [again]}
    assert (await edge.application.post("/notify", json=body)).status_code == 200
    other = {"user_id": "alice", "notifications": [again | {"notification_data": "y"}]}
    assert (await edge.application.post("/notify", json=other)).status_code == 409
    for path, times in (
        ("a1", 3),  # it was replaced
        ("a1?member=user:z", 3),
        ("none?member=user:b", 3),
        ("a1?member=user:b", 1),
        ("a1?member=user:b", 1),
        ("b2?member=user:a", None),
        ("b2?member=user:a", None),
    ):
        assert (await edge.application.delete(f"{NOTIFICATIONS}/{path}")).status_code == 204
        found = [item["group"]["times"] for item in await listed(edge)]
        assert found == ([] if times is None else [times]), path
    assert (await edge.application.get("/users/alice")).json()["unseen"] == 0


async def test_devices_are_told_when_the_last_member_leaves(edge: Edge) -> None:
    await like(edge, "a1")
    socket = Device(edge.web, headers={"cookie": "user=alice"})
    await socket.open()
    await socket.count_is(1)
    await edge.application.delete(f"{NOTIFICATIONS}/a1?member=user:a")
    await socket.count_is(0)
    await socket.leave()


@pytest.mark.parametrize(
    ("members", "at", "remedy"),
    [
        ({"group": {"member": "m"}}, "/group", 'add a "collapse_key"'),
        ({"collapse_key": "k", "group": {}}, "/group/member", "required"),
        ({"collapse_key": "k", "group": "m"}, "/group", "object"),
        ({"collapse_key": "k", "group": {"member": ""}}, "/group/member", "1"),
        ({"collapse_key": "k", "group": {"member": "a b"}}, "/group/member", "1 to 64"),
        ({"collapse_key": "k", "group": {"member": ".."}}, "/group/member", "`..`"),
        ({"collapse_key": "k", "group": {"member": "m" * 65}}, "/group/member", "64"),
        ({"collapse_key": "k", "group": {"member": 7}}, "/group/member", "str"),
        ({"collapse_key": "k", "group": {"member": "m", "data": "x" * 513}}, "/group/data", "512"),
        ({"collapse_key": "k", "group": {"member": "m", "data": "ü" * 257}}, "/group/data", "512 bytes"),
        ({"collapse_key": "k", "group": {"member": "m", "data": "\0"}}, "/group/data", "U+0000"),
        ({"collapse_key": "k", "group": {"member": "m", "times": 2}}, "/group/times", "no such member"),
        ({"collapse_key": "k", "member": "m"}, "/member", "group"),
    ],
    ids=str,
)
async def test_a_wrong_group_names_field_and_remedy(
    edge: Edge, members: dict[str, Any], at: str, remedy: str
) -> None:
    body = {"user_id": "alice", "notifications": [{"notification_data": "x", **members}]}
    answer = await edge.application.post("/notify", json=body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["at"]) == (422, f"/notifications/0{at}")
    assert remedy in error["message"]
    assert await listed(edge) == []


@pytest.mark.parametrize("data", ["x" * 512, "ü" * 256, "🔔" * 128])
async def test_the_largest_data_are_kept(edge: Edge, data: str) -> None:
    await like(edge, "a", data)
    assert [item["group"]["latest"][0]["data"] for item in await listed(edge)] == [data]


@pytest.mark.parametrize("query", ["member=", "member=a%20b", "member=a&member=b", "members=a"])
async def test_a_wrong_member_withdraws_nothing(edge: Edge, query: str) -> None:
    await like(edge, "a1")
    answer = await edge.application.delete(f"{NOTIFICATIONS}/a1?{query}")
    assert answer.status_code == 422
    assert len(await listed(edge)) == 1


async def test_a_publication_joins_a_group(edge: Edge, clock: FakeClock) -> None:
    await like(edge, "a1")
    body = {
        "notifications": [
            {
                "notification_data": "x",
                "notification_id": "p",
                "collapse_key": "k",
                "group": {"member": "staff"},
            }
        ]
    }
    assert (await edge.application.post("/broadcast", json=body)).status_code == 202

    async def joined() -> bool:
        return [(item["notification_id"], item["group"]["times"]) for item in await listed(edge)] == [
            ("p", 2)
        ]

    await in_time(clock, joined)


async def test_the_library_takes_values_and_dicts() -> None:
    async with temporary_pns() as pns:
        for group in (
            GroupMember("user:7", {"name": "Ann"}),
            {"member": "user:8", "data": ["Bo"]},
            {"member": "user:9"},
            GroupMember("user:9", "Cem"),
        ):
            await pns.notify("42", Notification("x", collapse_key="k", group=group))
        (item,) = [item async for item in pns.export("42")]
        assert item.group
        assert (item.group.times, item.group.members) == (4, 3)
        assert [each.data for each in item.group.latest] == ["Cem", '["Bo"]', '{"name":"Ann"}']
        with pytest.raises(Invalid, match="collapse_key"):
            await pns.notify("42", Notification("x", group=GroupMember("user:7")))
        with pytest.raises(Invalid, match="group/data"):
            await pns.notify(
                "42", Notification("x", collapse_key="k", group=GroupMember("m", {"x": object()}))
            )
        with pytest.raises(Invalid, match="member"):
            await pns.withdraw("42", item.notification_id, member="a b")
        for member in ("user:9", "user:8", "user:7"):
            await pns.withdraw("42", item.notification_id, member=member)
        assert (await pns.user("42")).unseen == 0
