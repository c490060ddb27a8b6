"""Push and audiences of the library: the endpoints as methods, held to the same contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest

from pns import (
    PNS,
    FCMControls,
    Invalid,
    NotFound,
    Notification,
    NotStarted,
    PublicationConflict,
    PushControls,
    Registration,
    Settings,
    WebPushControls,
)
from pns.inbox.publications import Changed
from pns.settings import PushSettings, WebPushSettings
from pns.testing import FakeClock, temporary_pns
from tests.harness.push_service import PushService, Subscriber
from tests.web.edge import in_time

SETTINGS = Settings(
    push=PushSettings(
        when="always",
        webpush=WebPushSettings(subject="mailto:ops@example.com", allowed_networks=("127.0.0.0/8",)),
    )
)


@pytest.fixture
async def pns(clock: FakeClock) -> AsyncIterator[PNS]:
    async with temporary_pns(settings=SETTINGS, clock=clock) as pns:
        yield pns


@pytest.fixture
async def browser(clock: FakeClock) -> AsyncIterator[Subscriber]:
    async with PushService(now=lambda: clock.now() / 1e6) as service:
        yield Subscriber(service)


def registration(browser: Subscriber) -> dict[str, Any]:
    """As the browser would send it."""
    return {"network": "webpush", "subscription": {"endpoint": browser.endpoint, "keys": browser.keys}}


async def spread(pns: PNS, clock: FakeClock, publication_id: str) -> int:
    """How many users a publication reached."""

    async def complete() -> bool:
        return (await pns.publication(publication_id)).end_date is not None

    await in_time(clock, complete)
    return (await pns.publication(publication_id)).reached


async def inbox(pns: PNS, user: str) -> list[str]:
    return [item.notification_id async for item in pns.export(user)]


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_device_is_registered_pushed_to_and_removed(
    pns: PNS, browser: Subscriber, clock: FakeClock
) -> None:
    installed = await pns.install(42, registration(browser))
    again = msgspec.convert(registration(browser), Registration)
    assert await pns.install("42", again) == installed
    assert [device.device_id for device in await pns.devices("42")] == [installed.device_id]

    (id,) = await pns.notify(
        "42", Notification("Shipped", push=PushControls(webpush=WebPushControls(data={"a": 1})))
    )
    await in_time(clock, lambda: browser.texts)
    assert (browser.messages[0]["id"], browser.messages[0]["data"]) == (id, {"a": 1})

    async def accepted() -> bool:
        return [push.state for push in await pns.pushes("42", id)] == ["accepted"]

    await in_time(clock, accepted)
    assert [await pns.uninstall("42", installed.device_id) for _ in range(2)] == [True, False]
    assert await pns.devices("42") == []


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"network": "pigeon"}, "/network"),
        ({"network": "fcm", "token": "x"}, "/network"),
        ({"subscription": None}, "/subscription"),
        ({"colour": 1}, "/colour"),
        ({"platform": "\ud800"}, ""),
        ({"platform": object()}, ""),
    ],
)
async def test_a_wrong_registration_names_the_field(
    pns: PNS, browser: Subscriber, changes: Mapping[str, Any], at: str
) -> None:
    with pytest.raises(Invalid) as invalid:
        await pns.install("42", {**registration(browser), **changes})
    assert [where for where, _ in invalid.value.errors] == [at]
    assert await pns.devices("42") == []


async def test_an_erased_user_has_nothing(pns: PNS, browser: Subscriber) -> None:
    await pns.install("42", registration(browser))
    await pns.subscribe_to("42", bucket="orders")
    await pns.erase("42")
    assert await pns.devices("42") == []
    assert (await pns.subscriptions("42")).buckets == []


# ── audiences ─────────────────────────────────────────────────────────────────────────────────────────


async def test_topics(pns: PNS, clock: FakeClock) -> None:
    with pytest.raises(NotFound, match=r"no such topic; .*, here with pns\.make_topic"):
        await pns.subscribe_to("42", topic="app:news")
    with pytest.raises(NotFound, match=r"no such topic; .*, here with pns\.make_topic"):
        await pns.publish("app:news", "too early")
    await pns.make_topic("app:news")
    await pns.subscribe_to(42, topic="app:news")
    await pns.subscribe_to("43", topic="app:news")
    await pns.unsubscribe_from("43", topic="app:news")
    assert (await pns.subscriptions("42")).topics == ["app:news"]

    published = await pns.publish("app:news", ["one", "two"], publication_id="issue-7", sender="editors")
    assert published.notification_ids == ["issue-7.0", "issue-7.1"]
    assert await pns.publish("app:news", ["one", "two"], publication_id="issue-7") == published
    with pytest.raises(PublicationConflict):
        await pns.publish("app:news", "something else", publication_id="issue-7")
    assert await spread(pns, clock, "issue-7") == 1
    assert await inbox(pns, "42") == published.notification_ids
    assert await inbox(pns, "43") == []

    await pns.remove_topic("app:news")
    with pytest.raises(NotFound):
        await pns.publish("app:news", "too late")
    with pytest.raises(NotFound):
        await pns.publication("never-was")


async def test_publications_are_listed_and_taken_back(pns: PNS, clock: FakeClock) -> None:
    await pns.subscribe_to("42", bucket="orders")
    for id in ("one", "two", "three"):
        await pns.broadcast("Closed on Monday", publication_id=id)
        clock.jump(1)
    await spread(pns, clock, "three")
    every = await pns.publications()
    assert every == [await pns.publication(id) for id in ("three", "two", "one")]
    assert await pns.publications(limit=2) == every[:2]
    assert await pns.publications(before="three", limit=1) == every[1:2]
    assert await pns.publications(before="one") == []
    for wrong in ({"before": "never"}, {"before": "a b"}, {"limit": 0}):
        with pytest.raises(Invalid, match=rf"^{next(iter(wrong))}"):
            await pns.publications(**wrong)
    await pns.take_back("two")
    await in_time(clock, lambda: taken_back(pns, "two"))
    assert await inbox(pns, "42") == ["one.0", "three.0"]
    with pytest.raises(NotFound):
        await pns.take_back("never")


async def taken_back(pns: PNS, publication_id: str) -> bool:
    return bool((await pns.publication(publication_id)).taken_back_date)


async def test_buckets_and_broadcasts(pns: PNS, clock: FakeClock) -> None:
    await pns.subscribe_to("42", bucket="orders")
    changed = await pns.bucket_changed("orders", "DATA_OBJECT_CREATED", "order-7", notification_data="Look!")
    assert await spread(pns, clock, changed.publication_id) == 1
    with pytest.raises(Invalid, match="seen_within_days"):
        await pns.broadcast("Closed on Monday", seen_within_days=0)
    everybody = await pns.broadcast(Notification("Closed on Monday"), seen_within_days=30_000)
    assert await spread(pns, clock, everybody.publication_id) == 0
    assert await inbox(pns, "42") == changed.notification_ids + everybody.notification_ids
    assert (await pns.publication(everybody.publication_id)).reached == 1
    await pns.unsubscribe_from("42", bucket="orders")
    assert (await pns.subscriptions("42")).buckets == []


def test_a_change_takes_what_the_endpoint_takes() -> None:
    given = set(PNS.bucket_changed.__annotations__) - {"bucket", "return"}
    assert given == set(Changed.__struct_fields__)


@pytest.mark.parametrize(
    ("call", "at"),
    [
        (lambda pns: pns.publish("news", "x"), "topic"),
        (lambda pns: pns.publish("app:news", []), "/notifications"),
        (lambda pns: pns.publish("app:news", ["x", ""]), "/notifications/1/notification_data"),
        (lambda pns: pns.broadcast("x", publication_id="a b"), "/publication_id"),
        (lambda pns: pns.broadcast("x", sender=""), "/sender"),
        (lambda pns: pns.bucket_changed("a b", "BUCKET_DELETED"), "bucket"),
        (lambda pns: pns.bucket_changed("b", "EATEN"), "/type"),
        (lambda pns: pns.bucket_changed("b", "DATA_OBJECT_UPDATED"), "/object_id"),
        (lambda pns: pns.make_topic("a b"), "topic"),
        (lambda pns: pns.subscribe_to("", bucket="b"), "user_id"),
        (lambda pns: pns.uninstall("42", "a b"), "device_id"),
        (lambda pns: pns.pushes("42", "a b"), "notification_id"),
    ],
)
async def test_wrong_arguments_are_named(pns: PNS, call: Callable[[PNS], Any], at: str) -> None:
    await pns.make_topic("app:news")
    with pytest.raises(Invalid) as invalid:
        await call(pns)
    assert [where for where, _ in invalid.value.errors] == [at]


@pytest.mark.parametrize("names", [{}, {"topic": "app:x", "bucket": "b"}])
async def test_one_subscribes_to_one_thing(pns: PNS, names: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="either topic= or bucket="):
        await pns.subscribe_to("42", **names)


# ── what was made in code ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("push", "at"),
    [
        (PushControls(data={"a": [1]}), "/notifications/0/push/data"),  # type: ignore[dict-item]
        (PushControls(data={"a": float("nan")}), "/notifications/0/push/data"),
        (PushControls(data={"a": object()}), "/notifications/0/push"),  # type: ignore[dict-item]
        (PushControls(data={"a": "\ud800"}), "/notifications/0/push"),
        (PushControls(sender=7), "/notifications/0/push/sender"),  # type: ignore[arg-type]
        (PushControls(webpush=WebPushControls(topic="a b")), "/notifications/0/push/webpush/topic"),
        (PushControls(fcm=FCMControls(data={"from": "x"})), "/notifications/0/push/fcm/data"),
    ],
)
async def test_controls_that_could_not_be_kept(pns: PNS, push: PushControls, at: str) -> None:
    for call in (pns.notify("42", Notification("x", push=push)), pns.broadcast(Notification("x", push=push))):
        with pytest.raises(Invalid) as invalid:
            await call
        assert [where for where, _ in invalid.value.errors] == [at]
    assert (await pns.user("42")).unseen == 0


async def test_before_the_start_every_method_says_so() -> None:
    pns = PNS("sqlite:///never-opened.db")
    calls: list[Callable[[], Any]] = [
        lambda: pns.install("42", {}),
        lambda: pns.uninstall("42", "d"),
        lambda: pns.devices("42"),
        lambda: pns.pushes("42", "n"),
        lambda: pns.make_topic("app:news"),
        lambda: pns.remove_topic("app:news"),
        lambda: pns.subscribe_to("42", topic="app:news"),
        lambda: pns.unsubscribe_from("42", bucket="b"),
        lambda: pns.subscriptions("42"),
        lambda: pns.publish("app:news", "x"),
        lambda: pns.broadcast("x"),
        lambda: pns.bucket_changed("b", "BUCKET_DELETED"),
        lambda: pns.publication("p"),
    ]
    for call in calls:
        with pytest.raises(NotStarted):
            await call()


async def test_another_event_loop_is_told_so(pns: PNS) -> None:
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(pns.broadcast("x")))
