"""The contract's conversation, message for message, between an application, PNS and devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio
from jsonschema import Draft7Validator
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.e2e.conftest import House
from tests.harness import Device

pytestmark = pytest.mark.asyncio(loop_scope="module")

Item = dict[str, Any]


def ids(items: list[Item]) -> list[str]:
    return [item["notification_id"] for item in items]


def error_of(answer: Item) -> str:
    code: str = answer["error"]["code"]
    assert answer["error"]["message"]
    return code


@pytest_asyncio.fixture(loop_scope="module")
async def phone(house: House, alice: str) -> AsyncIterator[Device]:
    """A device of alice's that was sent its first count."""
    async with Device.connect(house.url, alice) as device:
        assert await device.count() == 0
        yield device


async def seen_of(phone: Device, house: House, user: str, count: int) -> list[str]:
    """`count` notifications that were stored in this order and seen."""
    found = await house.backend.notify(user, *(f"n {n}" for n in range(count)))
    while await phone.unseen():
        pass
    return found


# ── counts and answers ────────────────────────────────────────────────────────────────────────────────


async def test_the_main_job(house: House, alice: str, bob: str) -> None:
    async with (
        Device.connect(house.url, alice) as phone,
        Device.connect(house.url, alice) as desk,
        Device.connect(house.url, bob) as other,
    ):
        assert [await phone.count(), await desk.count(), await other.count()] == [0, 0, 0]
        sent = [(await house.backend.notify(alice, text))[0] for text in ("one", "two", "three")]
        await phone.count_is(3)
        await desk.count_is(3)
        unseen = await phone.unseen()
        assert [item["notification_data"] for item in unseen] == ["one", "two", "three"]
        assert ids(unseen) == sent
        await phone.count_is(0)
        # The desk was told the counts and nothing else.
        await desk.count_is(0)
        assert ids(await desk.seen()) == sent
        assert await other.unseen() == []
        assert await other.seen() == []
        assert set(other.counts) == {0}
        assert set(phone.counts) | set(desk.counts) <= {0, 1, 2, 3}


async def test_every_message_fits_the_asyncapi_document(house: House, alice: str, phone: Device) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        document = (await client.get(f"{house.url}/asyncapi.json")).json()
    schemas = document["components"]["schemas"]
    full = {
        "notification_data": "x",
        "category": "news",
        "collapse_key": "k",
        "expire_date": "2999-01-01T00:00:00Z",
    }
    await house.backend.notify(alice, "plain", full)
    answers = [
        (await phone.ask({"unseenNotificationDataRequest": {}}), "NewNotificationData"),
        (await phone.ask({"unseenNotificationDataRequest": {}}), "NewNotificationData"),
        (await phone.ask({"seenNotificationsRequest": {}}), "SeenNotificationData"),
        (await phone.ask("?"), "ErrorMessage"),
        (await phone.receive(), "CountChanged"),
    ]
    for answer, name in answers:
        Draft7Validator({**schemas[name], "components": {"schemas": schemas}}).validate(answer)
    new, seen = answers[0][0]["newNotificationData"][1], answers[2][0]["seenNotificationData"][1]
    assert set(new) == {"notification_id", "create_date", *full}
    assert seen == {**new, "seen_date": seen["seen_date"]}


@pytest.mark.parametrize(
    "request_",
    [
        *("unseenNotificationDataRequest", '"unseenNotificationDataRequest"'),
        *('{"unseenNotificationDataRequest":null}', '{"unseenNotificationDataRequest":true}'),
        *('{"unseenNotificationDataRequest":{}}', ' {"unseenNotificationDataRequest" : {"limit":null}} '),
    ],
)
async def test_every_form_of_the_request(house: House, alice: str, phone: Device, request_: str) -> None:
    sent = await house.backend.notify(alice, "a", "b")
    assert ids((await phone.ask(request_))["newNotificationData"]) == sent
    await phone.count_is(0)


async def test_answers_come_in_the_order_of_the_requests(house: House, alice: str, phone: Device) -> None:
    sent = await house.backend.notify(alice, *"abc")
    for _ in range(2):
        await phone.send({"unseenNotificationDataRequest": {"limit": 2}})
        await phone.send({"seenNotificationsRequest": {}})
    answers: list[Item] = []
    while len(answers) < 4:
        message = await phone.receive()
        answers += [] if "newNotificationCountChanged" in message else [message]
    assert [ids(answer.get("newNotificationData", [])) for answer in answers[::2]] == [sent[:2], sent[2:]]
    assert [ids(answer.get("seenNotificationData", [])) for answer in answers[1::2]] == [sent[:2], sent]


async def test_a_page_that_is_not_the_last(house: House, alice: str, phone: Device) -> None:
    sent = await house.backend.notify(alice, *(str(n) for n in range(7)))
    found: list[str] = []
    for left in (4, 1, 0):
        found += ids(await phone.unseen(limit=3))
        await phone.count_is(left)
    assert found == sent
    # More than a page may hold is cut to it; a page also ends at its bytes, but holds at least one item.
    large = await house.backend.notify(alice, *("x" * 65_536 for _ in range(5)))
    assert ids(await phone.unseen(limit=10**9)) == large[:4]
    await phone.count_is(1)


async def test_the_count_is_the_heartbeat(phone: Device) -> None:
    # heartbeat_seconds is 2 here.
    assert [await phone.count(), await phone.count()] == [0, 0]


# ── the seen list ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_seen_list_pages_both_ways(house: House, alice: str, phone: Device) -> None:
    sent = await seen_of(phone, house, alice, 23)
    await house.backend.notify(alice, "unseen, and in no page")
    # Not one by one: that would be more requests than may come at once.
    for limit in (4, 23, 500):
        found: list[str] = []
        while page := await phone.seen(after=found[-1] if found else "", limit=limit):
            assert len(page) <= limit
            found += ids(page)
        assert found == sent
        found = []
        while page := await phone.seen(before=found[-1] if found else "", limit=limit):
            found += ids(page)
        assert found == sent[::-1]


async def test_the_seen_list_from_a_time_on(house: House, alice: str, phone: Device) -> None:
    sent = await house.backend.notify(
        alice,
        *(
            {"notification_data": str(day), "create_date": f"2026-01-{day:02}T00:00:00Z"}
            for day in (3, 1, 4, 2, 5, 9, 6)
        ),
    )
    await phone.unseen()
    time = "2026-01-03T01:00:00+01:00"  # that of the first one, which is not later than itself
    later = [sent[2], sent[4], sent[5], sent[6]]
    assert ids(await phone.seen(receivedAfter=time)) == later
    assert ids(await phone.seen(receivedAfter=time, before="")) == later[::-1]
    assert ids(await phone.seen(receivedAfter="")) == sent
    for direction, expected in (("after", later), ("before", later[::-1])):
        found: list[str] = []
        while page := await phone.seen(
            receivedAfter=time, limit=1, **{direction: found[-1] if found else ""}
        ):
            found += ids(page)
        assert found == expected
    # The place to go on from need not pass the filter.
    assert ids(await phone.seen(receivedAfter=time, after=sent[3])) == later[1:]
    assert await phone.seen(receivedAfter="2026-01-09T00:00:00.000000Z") == []


async def test_paging_goes_on_where_it_was_while_more_is_stored(
    house: House, alice: str, phone: Device
) -> None:
    sent = await seen_of(phone, house, alice, 4)
    first = ids(await phone.seen(limit=2))
    sent += await seen_of(phone, house, alice, 2)
    assert first + ids(await phone.seen(after=first[-1])) == sent
    newest = ids(await phone.seen(before="", limit=3))
    sent += await seen_of(phone, house, alice, 2)
    assert newest + ids(await phone.seen(before=newest[-1])) == sent[5::-1]


async def test_a_place_that_is_not_kept_any_more(house: House, alice: str, bob: str, phone: Device) -> None:
    sent = await seen_of(phone, house, alice, 3)
    (foreign,) = await house.backend.notify(bob, "bob's")
    await house.backend.http.delete(f"/users/{alice}/notifications/{sent[1]}")
    for place in (sent[1], foreign, "never-was"):
        assert (
            error_of(await phone.ask({"seenNotificationsRequest": {"after": place}}))
            == "unknown_notification"
        )
        assert (
            error_of(await phone.ask({"seenNotificationsRequest": {"before": place}}))
            == "unknown_notification"
        )
    assert ids(await phone.seen(after=sent[0])) == [sent[2]]


# ── said to be seen ───────────────────────────────────────────────────────────────────────────────────


async def test_with_ack_nothing_is_seen_until_it_is_said(house: House, alice: str, phone: Device) -> None:
    sent = await house.backend.notify(alice, *"abcd")
    assert ids(await phone.unseen(ack=True, limit=3)) == sent[:3]
    assert ids(await phone.unseen(ack=True)) == sent, "still unseen: it was not said"
    assert (await house.backend.user(alice))["unseen"] == 4
    assert await phone.seen() == []
    await phone.send({"notificationDataSeen": {"upTo": sent[1]}})
    await phone.count_is(2)
    assert ids(await phone.seen()) == sent[:2]
    assert ids(await phone.unseen(ack=True)) == sent[2:]
    await phone.send({"notificationDataSeen": {"upTo": sent[3]}})
    await phone.count_is(0)
    assert ids(await phone.seen()) == sent


async def test_only_what_was_sent_on_this_connection_is_marked(
    house: House, alice: str, phone: Device
) -> None:
    sent = await house.backend.notify(alice, *"abc")
    say = {"notificationDataSeen": {"upTo": sent[0]}}
    assert error_of(await phone.ask(say)) == "unknown_notification"
    async with Device.connect(house.url, alice) as desk:
        assert ids(await desk.unseen(ack=True)) == sent
        assert error_of(await phone.ask(say)) == "unknown_notification"
        assert (await house.backend.user(alice))["unseen"] == 3
        await desk.send(say)
        await phone.count_is(2)
    # The line broke before the rest was said: nothing is lost.
    assert ids(await phone.unseen(ack=True)) == sent[1:]


async def test_what_was_sent_here_and_seen_elsewhere_is_no_error(
    house: House, alice: str, phone: Device
) -> None:
    sent = await house.backend.notify(alice, *"ab")
    assert ids(await phone.unseen(ack=True)) == sent
    async with Device.connect(house.url, alice) as desk:
        assert ids(await desk.unseen()) == sent
    (later,) = await house.backend.notify(alice, "c")
    assert ids(await phone.unseen(ack=True)) == [later]
    for shown in sent:
        await phone.send({"notificationDataSeen": {"upTo": shown}})
        assert ids(await phone.seen()) == sent, "the answer to this alone"
    assert ids(await phone.unseen(ack=True)) == [later]


async def test_seen_date_is_set_once(house: House, alice: str, phone: Device) -> None:
    (sent,) = await house.backend.notify(alice, "a")
    async with Device.connect(house.url, alice) as desk:
        await phone.unseen(ack=True)
        await desk.unseen()
        await phone.count_is(0)
        (before,) = await phone.seen()
        await phone.send({"notificationDataSeen": {"upTo": sent}})
        assert await phone.seen() == [before]


async def test_what_is_taken_back_is_gone_from_list_and_count(
    house: House, alice: str, phone: Device
) -> None:
    soon = {"notification_data": "expires", "expire_date": "2026-01-01T00:00:00Z"}
    sent = await house.backend.notify(
        alice, soon, {"notification_data": "1 of 2", "collapse_key": "k"}, "withdrawn", "stays"
    )
    sent += await house.backend.notify(alice, {"notification_data": "2 of 2", "collapse_key": "k"})
    await house.backend.http.delete(f"/users/{alice}/notifications/{sent[2]}")
    await phone.count_is(2)
    assert ids(await phone.unseen()) == sent[3:]
    await phone.count_is(0)
    await house.backend.http.delete(f"/users/{alice}/notifications/{sent[3]}")
    assert ids(await phone.seen()) == sent[4:]


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


async def test_another_login_in_the_same_browser_is_another_device(
    house: House, alice: str, bob: str
) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as browser:

        async def subscribe(user: str) -> str:
            browser.cookies.set("user", user, domain="127.0.0.1")
            response = await browser.post("/subscribe")
            house.contract.check(response)
            assert response.status_code == 200, response.text
            assert response.json()["user_id"] == user
            found: str = response.json()["device_id"]
            return found

        first, again = await subscribe(alice), await subscribe(alice)
        assert first == again
        other = await subscribe(bob)
        assert other != first
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
        # The WebSocket is the same device as the POST before it.
        async with Device.connect(house.url, headers={"Cookie": cookies}) as device:
            await device.count()
            (shown,) = (await house.backend.user(bob))["devices"]
            assert shown["device_id"] == other


async def test_the_subprotocol(house: House, alice: str) -> None:
    for offered, chosen in ((["pns.v1"], "pns.v1"), (["chat", "pns.v1"], "pns.v1"), (["chat"], None)):
        async with Device.connect(house.url, alice, subprotocols=offered) as device:
            assert device.socket.subprotocol == chosen
            assert await device.count() == 0


async def test_a_plain_get_is_told_to_upgrade(house: House, alice: str) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        response = await client.get("/subscribe", headers={"cookie": f"user={alice}"})
        house.contract.check(response)
        assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
        stranger = await client.post("/subscribe")
        house.contract.check(stranger)
        assert stranger.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Cookie": "user=alice", "Origin": "https://evil.example"}, 403, "origin_not_allowed"),
    ],
)
async def test_a_refusal_before_the_101_says_why(
    house: House, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with Device.connect(house.url, headers=headers):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["code"] == code


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("message", "code"),
    [
        *(
            ("", "bad_json"),
            ("hello", "bad_json"),
            ("{", "bad_json"),
            ("[" * 4000, "bad_json"),
            ("NaN", "bad_json"),
        ),
        *(("unseennotificationdatarequest", "bad_json"), ("unseenNotificationDataRequest ", "bad_json")),
        *(('{"unseenNotificationDataRequest":"\\ud800"}', "bad_json"), ("\ufeff{}", "bad_json")),
        *(
            ("null", "unknown_message"),
            ("7", "unknown_message"),
            ("[]", "unknown_message"),
            ("{}", "unknown_message"),
        ),
        *(('{"hello":1}', "unknown_message"), ('"notificationDataSeen"', "unknown_message")),
        ('{"notificationDataRequest":{}}', "unknown_message"),
        ('{"unseenNotificationDataRequest":{},"seenNotificationsRequest":{}}', "unknown_message"),
        *(
            ('{"unseenNotificationDataRequest":false}', "bad_request"),
            ('{"unseenNotificationDataRequest":1}', "bad_request"),
        ),
        ('{"unseenNotificationDataRequest":{"limit":0}}', "bad_request"),
        ('{"unseenNotificationDataRequest":{"limit":1.5}}', "bad_request"),
        ('{"unseenNotificationDataRequest":{"Limit":1}}', "bad_request"),
        ('{"unseenNotificationDataRequest":{"ack":"yes"}}', "bad_request"),
        ('{"seenNotificationsRequest":null}', "bad_request"),
        ('{"seenNotificationsRequest":{"receivedAfter":"yesterday"}}', "bad_request"),
        ('{"seenNotificationsRequest":{"receivedAfter":"2026-01-01T00:00:00"}}', "bad_request"),
        ('{"seenNotificationsRequest":{"after":"a","before":"b"}}', "bad_request"),
        ('{"seenNotificationsRequest":{"after":null}}', "bad_request"),
        ('{"seenNotificationsRequest":{"after":"\\u0000"}}', "unknown_notification"),
        ('{"notificationDataSeen":{}}', "bad_request"),
        ('{"notificationDataSeen":{"upTo":7}}', "bad_request"),
        ('{"notificationDataSeen":{"upTo":"never-sent"}}', "unknown_notification"),
    ],
    ids=lambda value: value[:60] if len(value) < 70 else "long",
)
async def test_what_is_not_understood(
    house: House, alice: str, phone: Device, message: str, code: str
) -> None:
    assert error_of(await phone.ask(message)) == code
    # The connection stays, and serves on.
    (sent,) = await house.backend.notify(alice, "still here")
    assert ids(await phone.unseen()) == [sent]


async def test_a_message_of_the_largest_size_and_one_more(house: House, alice: str, phone: Device) -> None:
    await phone.send('{"unseenNotificationDataRequest":{}}'.ljust(4096))
    assert "newNotificationData" in await phone.ask("unseenNotificationDataRequest")
    await phone.send('{"unseenNotificationDataRequest":{}}'.ljust(4097))
    assert await phone.closed() == 1009


async def test_a_binary_message(phone: Device) -> None:
    await phone.socket.send(b'{"unseenNotificationDataRequest":{}}')
    assert await phone.closed() == 1003


async def test_too_many_requests(house: House, alice: str, phone: Device) -> None:
    # 20 a second, and twice as many at once; ten refused in a row end it.
    sending = asyncio.gather(
        *(phone.send('{"seenNotificationsRequest":{}}') for _ in range(200)), return_exceptions=True
    )
    served = refused = 0
    with suppress(ConnectionClosedError):
        async for text in phone.socket:
            message = json.loads(text)
            served += "seenNotificationData" in message
            refused += "error" in message and error_of(message) == "rate_limited"
    await sending
    assert phone.socket.close_code == 4429
    assert served >= 40
    assert refused >= 9
    async with Device.connect(house.url, alice) as again:
        assert await again.count() == 0
        assert await again.seen() == []
