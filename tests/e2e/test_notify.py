"""POST /notify end to end: repeats, collapse, expiry, dates, sizes, and rows that are there."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from tests.e2e.conftest import House
from tests.harness import Device, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def post(house: House, user: object, *notifications: dict[str, Any]) -> httpx.Response:
    return await house.backend.http.post("/notify", json={"user_id": user, "notifications": notifications})


def item(data: str = "x", **members: Any) -> dict[str, Any]:
    return {"notification_data": data, **members}


def ids(response: httpx.Response) -> list[str]:
    found: list[str] = response.json()["notification_ids"]
    return found


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def data_of(house: House, user: str) -> list[str]:
    return [kept["notification_data"] for kept in await house.backend.inbox(user)]


async def test_repeats(house: House, alice: str, bob: str) -> None:
    first = await post(house, alice, item("a", notification_id="n1"), item("b", notification_id="n2"))
    assert (first.status_code, ids(first)) == (201, ["n1", "n2"])
    again = await post(house, alice, item("b", notification_id="n2"), item("a", notification_id="n1"))
    assert (again.status_code, ids(again)) == (200, ["n2", "n1"])
    # The data alone is compared.
    dated = await post(house, alice, item("a", notification_id="n1", create_date=at(-60), category="other"))
    assert (dated.status_code, ids(dated)) == (200, ["n1"])
    some = await post(
        house, alice, item("c", notification_id="n3"), item("a", notification_id="n1"), item("d")
    )
    assert some.status_code == 201
    assert ids(some)[:2] == ["n3", "n1"]
    conflict = await post(house, alice, item("e"), item("other", notification_id="n1"))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "notification_id_conflict")
    assert await data_of(house, alice) == ["a", "b", "c", "d"]
    assert (await house.backend.user(alice))["unseen"] == 4
    # The key is the user's own.
    assert (await post(house, bob, item("another", notification_id="n1"))).status_code == 201


async def test_twice_in_one_body(house: House, alice: str) -> None:
    equal = await post(house, alice, item("a", notification_id="n1"), item("a", notification_id="n1"))
    assert (equal.status_code, ids(equal)) == (201, ["n1", "n1"])
    other = await post(house, alice, item("b", notification_id="n2"), item("c", notification_id="n2"))
    assert other.status_code == 409
    assert await data_of(house, alice) == ["a"]


async def test_a_request_is_stored_whole_or_not_at_all(house: House, alice: str, bob: str) -> None:
    await post(house, bob, item("a", notification_id="n1"))
    body = [
        {"user_id": alice, "notifications": [item("for alice")]},
        {"user_id": bob, "notifications": [item("other", notification_id="n1")]},
    ]
    assert (await house.backend.http.post("/notify", json=body)).status_code == 409
    assert await data_of(house, alice) == []


async def test_many_at_once_never_hurt_their_neighbours(house: House, alice: str) -> None:
    await post(house, alice, item("taken", notification_id="taken"))
    answers = await asyncio.gather(
        *(
            post(house, alice, item(str(n), notification_id="taken" if n % 5 == 0 else f"n{n}"))
            for n in range(100)
        )
    )
    assert [answer.status_code for answer in answers] == [409 if n % 5 == 0 else 201 for n in range(100)]
    assert set(await data_of(house, alice)) == {"taken"} | {str(n) for n in range(100) if n % 5}
    assert (await house.backend.user(alice))["unseen"] == 81


async def test_the_same_request_many_times_at_once(house: House, alice: str) -> None:
    answers = await asyncio.gather(
        *(post(house, alice, item("x", notification_id="once")) for _ in range(30))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [201]
    assert await data_of(house, alice) == ["x"]


async def test_several_users_in_one_body(house: House, alice: str, bob: str) -> None:
    body = [
        {"user_id": alice, "notifications": [item("1"), item("2")]},
        {"user_id": bob, "notifications": [item("3")]},
        {"user_id": alice, "notifications": [item("4")]},
    ]
    response = await house.backend.http.post("/notify", json=body)
    assert (response.status_code, len(ids(response))) == (201, 4)
    kept = await house.backend.inbox(alice)
    assert [one["notification_data"] for one in kept] == ["1", "2", "4"]
    assert [one["notification_id"] for one in kept] == [ids(response)[n] for n in (0, 1, 3)]
    assert await data_of(house, bob) == ["3"]


async def test_a_thousand_in_one_body(house: House, alice: str) -> None:
    response = await post(house, alice, *(item(str(n)) for n in range(1000)))
    assert response.status_code == 201
    assert len(set(ids(response))) == 1000
    assert (await house.backend.user(alice))["unseen"] == 1000
    page = await house.backend.inbox(alice, limit=1000)
    assert [one["notification_data"] for one in page] == [str(n) for n in range(500)]


async def test_collapse(house: House, alice: str) -> None:
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 0
        await post(house, alice, item("1 of 3", collapse_key="build"), item("mail", collapse_key="mail"))
        await device.count_is(2)
        (first,) = ids(await post(house, alice, item("2 of 3", collapse_key="build")))
        assert await data_of(house, alice) == ["mail", "2 of 3"]
        await device.unseen()
        await device.count_is(0)
        # What was seen is not replaced.
        (second,) = ids(await post(house, alice, item("3 of 3", collapse_key="build")))
        await device.count_is(1)
        assert first != second
        assert await data_of(house, alice) == ["mail", "2 of 3", "3 of 3"]
    both = await post(house, alice, item("a", collapse_key="k"), item("b", collapse_key="k"))
    assert both.status_code == 201
    assert (await data_of(house, alice))[-1] == "b"
    assert (await house.backend.user(alice))["unseen"] == 2


async def test_expiry(house: House, alice: str) -> None:
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 0
        late = await post(house, alice, item("too late", expire_date=at(-1)))
        assert late.status_code in (200, 201)
        await post(house, alice, item("soon gone", expire_date=at(0.5)), item("stays", expire_date=at(3600)))
        await device.count_is(1)
        assert [one["notification_data"] for one in await device.unseen(ack=True)] == ["stays"]
        assert await data_of(house, alice) == ["stays"]
        assert MICROSECONDS.fullmatch((await house.backend.inbox(alice))[0]["expire_date"])


async def test_create_date(house: House, alice: str) -> None:
    before = datetime.now(UTC)
    await post(
        house,
        alice,
        item("own clock"),
        item("old", create_date="1999-12-31T23:59:59.5+02:00"),
        item("before the epoch", create_date="1969-07-20T20:17:40Z"),
        item("a little ahead", create_date=at(290)),
    )
    kept = await house.backend.inbox(alice)
    assert [one["notification_data"] for one in kept] == [
        "own clock",
        "old",
        "before the epoch",
        "a little ahead",
    ]
    assert all(MICROSECONDS.fullmatch(one["create_date"]) for one in kept)
    assert kept[1]["create_date"] == "1999-12-31T21:59:59.500000Z"
    assert kept[2]["create_date"] == "1969-07-20T20:17:40.000000Z"
    own = datetime.fromisoformat(kept[0]["create_date"])
    assert before - timedelta(seconds=1) <= own <= datetime.now(UTC) + timedelta(seconds=1)
    assert (await post(house, alice, item(create_date=at(310)))).status_code == 422
    assert len(await house.backend.inbox(alice)) == 4


async def test_integers_name_users_too(house: House) -> None:
    await post(house, 42, item("by number"))
    await post(house, "42", item("by text"))
    await post(house, 2**64, item("large"))
    await post(house, -1, item("negative"))
    assert await data_of(house, "42") == ["by number", "by text"]
    assert await data_of(house, str(2**64)) == ["large"]
    assert await data_of(house, "-1") == ["negative"]


@pytest.mark.parametrize(
    "data",
    [
        *("😀", "\u200b", "\ufeff", "\U0010ffff", "</script>", '"\\', "\r\n\t\x01\x7f", " ", "e\u0301"),
        *("x" * 65_536, "😀" * 16_384, '"' * 65_536, json.dumps({"title": "ü", "body": "\n"})),
    ],
    ids=range(13),
)
async def test_data_comes_back_as_it_went(house: House, alice: str, data: str) -> None:
    assert (await post(house, alice, item(data))).status_code == 201
    assert await data_of(house, alice) == [data]
    async with Device.connect(house.url, alice, max_size=None) as device:
        assert [one["notification_data"] for one in await device.unseen()] == [data]


async def test_ids(house: House, alice: str) -> None:
    response = await post(house, alice, item("a"), item("b", notification_id="A-z0_9.:-" + "x" * 55))
    made, own = ids(response)
    assert UUID(made).version == 7
    assert own == "A-z0_9.:-" + "x" * 55
    kept = await house.backend.inbox(alice)
    assert [one["notification_id"] for one in kept] == [made, own]
    assert kept[0] == {
        "notification_id": made,
        "notification_data": "a",
        "create_date": kept[0]["create_date"],
        "seen_date": None,
    }


async def test_category_and_key_come_back_only_when_set(house: House, alice: str) -> None:
    await post(house, alice, item("a", category="news", collapse_key="k", expire_date=at(60)), item("b"))
    (full, plain) = await house.backend.inbox(alice)
    assert (full["category"], full["collapse_key"]) == ("news", "k")
    assert {"category", "collapse_key", "expire_date"}.isdisjoint(plain)


async def test_what_was_answered_is_there_after_a_kill(house: House, alice: str) -> None:
    (before,) = ids(await post(house, alice, item("before")))
    await house.server.kill()
    await house.server.start()
    assert [one["notification_id"] for one in await house.backend.inbox(alice)] == [before]
    again = await post(house, alice, item("before", notification_id=before))
    assert (again.status_code, ids(again)) == (200, [before])


async def test_users_are_compared_byte_by_byte(house: House, alice: str) -> None:
    for user in (f"{alice}É", f"{alice}é", f"{alice}e\u0301", f"{alice} ", f" {alice}", alice.upper()):
        await post(house, user, item(user))
        assert await data_of(house, user) == [user]

    async def counted() -> bool:
        return (await house.backend.user(alice))["unseen"] == 0

    await eventually(counted)
