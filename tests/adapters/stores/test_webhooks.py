"""Events for the application, on every engine: written with their cause, decided at the claim, told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pns.adapters.stores.webhooks import CROWDED_LIMIT
from pns.contracts.outbox import Claim, Settlement
from pns.contracts.store import Store
from pns.contracts.webhooks import WebhookOutcome, WebhookSettlement
from pns.model.category import Category, Channels
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.push import PushSchedule, PushState, WebhookControls
from pns.model.timestamp import DAY, HOUR, MINUTE, SECOND
from pns.model.webhook import MOST_IDS, MOST_ITEMS, WebhookEvent, WebhookKind, WebhookTerms
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import Engine, submission
from tests.push.conftest import install

Raw = Callable[[str], list[str]]

TERMS = WebhookTerms(frozenset(WebhookKind), 15 * MINUTE, HOUR, 3 * DAY)
TABLES = ("webhook_waiting", "webhook_users", "webhook_events")
LEASE = MINUTE


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    store = engine(webhook=TERMS)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def other(engine: Engine, store: Store) -> AsyncIterator[Store]:
    other = engine(webhook=TERMS)
    await other.open()
    yield other
    await other.close()


async def claim(store: Store, clock: FakeClock, limit: int = 8) -> list[WebhookEvent]:
    return await store.webhooks.claim(limit, clock.now() + LEASE)


async def settle(store: Store, event: WebhookEvent, outcome: WebhookOutcome, due_at: int = 0) -> None:
    await store.webhooks.settle([WebhookSettlement(event, outcome, "a word", due_at)])


async def take(store: Store, clock: FakeClock) -> list[WebhookEvent]:
    """Claim what is due, and take it."""
    events = await claim(store, clock)
    for event in events:
        await settle(store, event, WebhookOutcome.TAKEN)
    return events


def ids(event: WebhookEvent) -> list[str]:
    return [item.notification_id for item in event.notifications]


def named(id: str, **fields: object) -> Notification:
    return msgspec.convert({"notification_data": id, "notification_id": id, **fields}, Notification)


async def notify(store: Store, user_id: str, *notifications: Notification | str) -> None:
    wanted = [named(each) if isinstance(each, str) else each for each in notifications]
    await store.append([submission(user_id, *wanted)])


async def test_what_is_still_unseen_is_told_once(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a", "b")
    assert await store.webhooks.next_due() == clock.now() + 15 * MINUTE
    clock.advance(899)
    assert await claim(store, clock) == []
    clock.advance(1)
    (event,) = await claim(store, clock)
    assert (event.kind, event.user_id, ids(event), event.unseen, event.more, event.attempt) == (
        WebhookKind.UNSEEN,
        "ann",
        ["a", "b"],
        2,
        False,
        1,
    )
    assert await claim(store, clock) == []
    await settle(store, event, WebhookOutcome.TAKEN)
    clock.advance(30 * 86_400)
    assert await claim(store, clock) == []


async def test_a_claim_is_small_while_others_wait(store: Store, clock: FakeClock) -> None:
    for number in range(8):
        await notify(store, f"user {number}", "a")
    clock.advance(900)
    waiting = asyncio.create_task(notify(store, "ann", "x"))
    await asyncio.sleep(0)
    first = await claim(store, clock)
    await waiting
    second = await claim(store, clock)
    assert (len(first), len(second)) == (CROWDED_LIMIT, 8 - CROWDED_LIMIT)
    assert len({event.user_id for event in first + second}) == 8


async def test_nothing_is_written_where_nothing_is_told(engine: Engine, clock: FakeClock, raw: Raw) -> None:
    store = engine()
    await store.open()
    await notify(
        store, "ann", "a", named("b", webhook={"unseen_after_seconds": 1}), named("c", webhook=False)
    )
    await store.mark_all_seen("ann")
    await store.close()
    assert [raw(f"SELECT count(*) FROM {table}") for table in TABLES] == [["0"]] * 3
    assert sorted(raw("SELECT notification_id, webhook FROM notifications")) == ["a|", "b|1000000", "c|-1"]


async def test_a_notification_says_when_or_never(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", named("soon", webhook={"unseen_after_seconds": 60}), "usual")
    await notify(store, "bob", named("never", webhook=False))
    clock.advance(60)
    assert [ids(event) for event in await take(store, clock)] == [["soon"]]
    clock.advance(15 * 60)
    assert await claim(store, clock) == [], "at most one in an hour"
    clock.advance(45 * 60)
    assert [ids(event) for event in await take(store, clock)] == [["usual"]]
    clock.advance(90_000)
    assert await claim(store, clock) == []


@pytest.mark.parametrize("way", ["seen", "withdrawn", "expired", "muted", "replaced"])
async def test_what_is_gone_at_the_moment_of_sending_is_left_out(
    store: Store, clock: FakeClock, way: str
) -> None:
    await store.categories.declare(Category("likes", "Likes", "", Channels(), frozenset()))
    expiry = datetime.fromtimestamp(clock.now() / SECOND, UTC) + timedelta(minutes=10)
    gone = named("gone", category="likes", collapse_key="k", expire_date=expiry if way == "expired" else None)
    await notify(store, "ann", gone, "stays")
    if way == "seen":
        await store.mark_seen("ann", ["gone"])
    elif way == "withdrawn":
        await store.withdraw("ann", "gone")
    elif way == "muted":
        await store.categories.choose("ann", {"likes": Channels(webhook=False)})
    elif way == "replaced":
        await notify(store, "ann", named("newer", collapse_key="k", webhook=False))
    clock.advance(900)
    told = [event for event in await claim(store, clock) if event.kind is WebhookKind.UNSEEN]
    assert [ids(event) for event in told] == [["stays"]]


async def test_a_required_category_is_told_whatever_was_chosen(store: Store, clock: FakeClock) -> None:
    await store.categories.declare(Category("safety", "Safety", "", Channels(webhook=False), frozenset()))
    await notify(store, "ann", named("a", category="safety"), named("b", category="undeclared"))
    clock.advance(900)
    (event,) = await take(store, clock)
    assert ids(event) == ["b"]
    assert event.categories == ()
    required = frozenset(["webhook"])
    await store.categories.declare(Category("safety", "Safety", "", Channels(webhook=False), required))  # type: ignore[arg-type]
    await store.categories.declare(Category("undeclared", "Now declared", "", Channels(), frozenset()))
    clock.advance(3600)
    await notify(store, "ann", named("c", category="safety"), named("d", category="undeclared"))
    clock.advance(900)
    (event,) = await take(store, clock)
    assert (ids(event), event.categories) == (["c", "d"], ("undeclared",))


async def test_an_attempt_is_made_from_what_the_first_held(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a", "b", "c")
    clock.advance(900)
    (first,) = await claim(store, clock)
    await settle(store, first, WebhookOutcome.AGAIN, clock.now() + 10 * SECOND)
    await store.withdraw("ann", "b")
    await notify(store, "ann", named("new", webhook={"unseen_after_seconds": 0}))
    clock.advance(10)
    (second,) = await claim(store, clock)
    assert (second.webhook_id, second.attempt, second.created_at) == (first.webhook_id, 2, first.created_at)
    assert (ids(second), second.unseen, second.more) == (["a", "c"], 3, True)
    await settle(store, second, WebhookOutcome.AGAIN, clock.now())
    await store.mark_all_seen("ann")
    assert [event.kind for event in await take(store, clock)] == [WebhookKind.SEEN], "nothing left, no event"
    assert await claim(store, clock) == []


async def test_a_lease_that_ends_is_the_next_attempt(store: Store, other: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    (first,) = await claim(store, clock)
    assert await claim(other, clock) == []
    clock.advance(61)
    (second,) = await claim(other, clock)
    assert (second.webhook_id, second.attempt, ids(second)) == (first.webhook_id, 2, ["a"])
    await settle(store, first, WebhookOutcome.AGAIN, clock.now())
    assert await claim(store, clock) == [], "it is too late for the first node to say anything"
    await settle(other, second, WebhookOutcome.TAKEN)
    clock.advance(90_000)
    assert await claim(store, clock) == []


async def test_after_it_was_taken_there_is_no_other_attempt(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    (first,) = await claim(store, clock)
    clock.advance(61)
    (second,) = await claim(other, clock)
    await settle(store, first, WebhookOutcome.TAKEN)
    await settle(other, second, WebhookOutcome.AGAIN, clock.now())
    clock.advance(90_000)
    assert await claim(store, clock) == []


async def test_a_user_has_one_event_at_a_time(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    (event,) = await claim(store, clock)
    await notify(store, "ann", "b")
    for _ in range(6):
        await settle(store, event, WebhookOutcome.AGAIN, clock.now() + HOUR)
        clock.advance(3600)
        (again,) = await claim(store, clock)
        assert (again.webhook_id, ids(again)) == (event.webhook_id, ["a"])
        event = again
    await settle(store, event, WebhookOutcome.TAKEN)
    clock.advance(3599)
    assert await claim(store, clock) == []
    clock.advance(1)
    assert [ids(event) for event in await take(store, clock)] == [["b"]]


async def test_what_does_not_fit_is_in_the_next(store: Store, clock: FakeClock) -> None:
    many = [f"n{number:03}" for number in range(MOST_ITEMS + 3)]
    await notify(store, "ann", *many)
    clock.advance(900)
    (first,) = await take(store, clock)
    assert (ids(first), first.more) == (many[:MOST_ITEMS], True)
    clock.advance(3600)
    (second,) = await take(store, clock)
    assert (ids(second), second.more) == (many[MOST_ITEMS:], False)


async def test_an_event_has_so_many_bytes_and_at_least_one(store: Store, clock: FakeClock) -> None:
    large = [named(id, notification_data="x" * 131_072) for id in "abc"]
    await notify(store, "ann", *large, named("d", notification_data="y"))
    clock.advance(900)
    (first,) = await take(store, clock)
    assert (ids(first), first.more) == (["a", "b"], True)


async def test_many_that_are_not_to_be_told_hide_nobody(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"pns.adapters.stores.{engine}.webhooks.DROPPED_AT_ONCE", 4)
    await notify(store, "ann", *[f"s{number}" for number in range(10)], "unseen")
    await store.mark_seen("ann", [f"s{number}" for number in range(10)])
    await take(store, clock)
    clock.advance(900)
    told = [ids(event) for _ in range(4) for event in await take(store, clock)]
    assert told == [["unseen"]]


async def test_what_is_marked_is_told_by_the_mark(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a", "b", "c", "d")
    page = await store.unseen("ann", limit=1, max_bytes=1000)
    await store.mark_sent_seen(page.user_key, [page.items[0].seq, page.items[0].seq])
    await store.mark_seen("ann", ["a", "b", "never-heard-of"])
    await store.mark("ann", Mark(MarkAs.READ, ids=("a", "c")))
    await store.mark_all_seen("ann")
    await store.mark("ann", Mark(MarkAs.ARCHIVED, ids=("a", "d")))
    events = await take(store, clock)
    told = [(event.kind, event.notification_ids) for event in events]
    assert sorted(told) == [
        (WebhookKind.READ, ("a", "c")),
        (WebhookKind.READ, ("d",)),
        (WebhookKind.SEEN, ("a",)),
        (WebhookKind.SEEN, ("b",)),
        (WebhookKind.SEEN, ("c",)),
        (WebhookKind.SEEN, ("d",)),
    ]
    assert {event.user_id for event in events} == {"ann"}
    assert len({event.webhook_id for event in events}) == 6


async def test_a_large_mark_is_several_events(store: Store, clock: FakeClock) -> None:
    many = [f"n{number:03}" for number in range(MOST_IDS + 1)]
    await notify(store, "ann", *many)
    await store.mark_all_seen("ann")
    events = await take(store, clock)
    assert sorted(len(event.notification_ids) for event in events) == [1, MOST_IDS]
    assert sorted(id for event in events for id in event.notification_ids) == many


async def test_a_device_that_its_network_called_dead_is_told(store: Store, clock: FakeClock) -> None:
    await install(store, "ann", "phone")
    await install(store, "ann", "left")
    await store.append([submission("ann", "x")], PushSchedule(0, DAY))
    pushes = await store.outbox.claim(Claim("fcm", 10, clock.now() + LEASE, offline_only=False))
    dead = [push for push in pushes if push.device.device_id == "phone"]
    await store.outbox.settle([Settlement(push, PushState.DEVICE_INVALID, "UNREGISTERED") for push in dead])
    await store.outbox.unregister("ann", "left")
    (event,) = await take(store, clock)
    assert (event.kind, event.user_id) == (WebhookKind.DEVICE_REMOVED, "ann")
    assert event.device is not None
    assert (event.device.device_id, event.device.network, event.device.reason) == (
        "phone",
        "fcm",
        "UNREGISTERED",
    )


async def test_only_the_kinds_that_are_wanted_are_written(engine: Engine, clock: FakeClock, raw: Raw) -> None:
    store = engine(webhook=TERMS._replace(kinds=frozenset([WebhookKind.READ])))
    await store.open()
    await notify(store, "ann", "a")
    await store.mark("ann", Mark(MarkAs.READ, ids=("a",)))
    assert [event.kind for event in await take(store, clock)] == [WebhookKind.READ]
    assert raw("SELECT count(*) FROM webhook_waiting") == ["0"]
    await store.close()


async def test_an_erased_user_is_never_told_of(store: Store, clock: FakeClock, raw: Raw) -> None:
    await notify(store, "ann", "a")
    await notify(store, "ann", "b")
    await store.mark_seen("ann", ["a"])
    clock.advance(900)
    assert len(await claim(store, clock)) == 2
    await store.erase("ann")
    clock.advance(61)
    assert await claim(store, clock) == []
    assert [raw(f"SELECT count(*) FROM {table}") for table in TABLES] == [["0"]] * 3


async def test_an_erasure_by_an_older_node_leaves_nothing_for_ever(
    store: Store, clock: FakeClock, raw: Raw
) -> None:
    await notify(store, "ann", "a")
    await store.mark_seen("ann", ["a"])
    await notify(store, "ann", "b")
    raw("DELETE FROM notifications; DELETE FROM users")
    clock.advance(90_000)
    assert await claim(store, clock) == []
    clock.advance(90_000)
    assert await claim(store, clock) == []
    assert [raw(f"SELECT count(*) FROM {table}") for table in TABLES] == [["0"]] * 3


async def test_what_nobody_takes_fails_and_is_pruned(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    await store.mark_seen("ann", ["a"])
    (event,) = await claim(store, clock)
    await settle(store, event, WebhookOutcome.AGAIN, clock.now() + 3 * DAY)
    (waiting,) = await store.webhooks.backlog()
    assert (waiting.kind, waiting.state, waiting.events) == (WebhookKind.SEEN, PushState.RETRY, 1)
    clock.advance(2 * 86_400)
    clock.advance(86_400)
    assert await claim(store, clock) == []
    (failed,) = await store.webhooks.backlog()
    assert (failed.state, failed.reason, failed.oldest) == (PushState.FAILED, "a word", None)
    clock.advance(60)
    assert await store.webhooks.prune_events(settled_before=clock.now(), limit=5) == 1
    assert await store.webhooks.backlog() == []


async def test_after_a_failure_the_user_is_told_of_what_is_new(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    (event,) = await claim(store, clock)
    await notify(store, "ann", "b")
    await settle(store, event, WebhookOutcome.AGAIN, event.expires_at + 1)
    clock.advance(3600)
    assert [ids(event) for event in await take(store, clock)] == [["b"]]


async def test_what_was_put_off_was_no_attempt(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    (event,) = await claim(store, clock)
    await settle(store, event, WebhookOutcome.UNSENT, clock.now() + SECOND)
    clock.advance(1)
    (again,) = await claim(store, clock)
    assert (again.attempt, again.webhook_id) == (1, event.webhook_id)


async def test_a_group_that_grows_begins_anew(store: Store, clock: FakeClock) -> None:
    def liked(id: str, member: str) -> Notification:
        return Notification(id, id, collapse_key="likes", group=GroupMember(member))

    await notify(store, "ann", liked("a", "m"))
    clock.advance(600)
    await notify(store, "ann", liked("b", "n"))
    clock.advance(300)
    assert await claim(store, clock) == []
    clock.advance(600)
    (event,) = await take(store, clock)
    assert ids(event) == ["b"]
    assert event.notifications[0].group is not None


async def test_a_repeat_of_a_notification_tells_nothing_more(store: Store, clock: FakeClock) -> None:
    await notify(store, "ann", "a")
    clock.advance(900)
    assert len(await take(store, clock)) == 1
    await notify(store, "ann", "a")
    clock.advance(90_000)
    assert await claim(store, clock) == []


async def noted(store: Store, user_id: str = "ann") -> list[tuple[str, str, str | None, str | None]]:
    user_key = await store.timeline.user_key(user_id)
    found = await store.timeline.notes(user_key, after=(0, "", ""), limit=100)
    return [(note.notification_id, note.what, note.category, note.detail) for note in found]


async def test_the_timeline_says_what_the_application_took(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await notify(store, "ann", named("a", category="orders"), "b")
    clock.advance(900)
    (late,) = await claim(store, clock)
    await settle(store, late, WebhookOutcome.AGAIN, clock.now())
    assert await noted(store) == []
    (event,) = await claim(store, clock)
    await asyncio.gather(*(settle(each, event, WebhookOutcome.TAKEN) for each in (store, other)))
    told = [
        ("a", "webhook", "orders", "notifications.unseen"),
        ("b", "webhook", None, "notifications.unseen"),
    ]
    assert await noted(store) == told, "once"
    clock.advance(1)
    await store.mark("ann", Mark(MarkAs.READ, ids=("a",)))
    marks = await claim(store, clock)
    await store.webhooks.settle([WebhookSettlement(each, WebhookOutcome.TAKEN) for each in marks])
    assert await noted(store) == [
        *told,
        ("a", "webhook", None, "notifications.seen"),
        ("a", "webhook", None, "notifications.read"),
    ]


async def test_an_erased_user_and_a_store_without_timelines_have_no_notes(
    engine: Engine, store: Store, clock: FakeClock, raw: Raw
) -> None:
    await notify(store, "ann", "a")
    await notify(store, "bob", "b")
    clock.advance(900)
    events = {event.user_id: event for event in await claim(store, clock)}
    await store.erase("ann")
    silent = engine(webhook=TERMS, timelines=False)
    await silent.open()
    await settle(store, events["ann"], WebhookOutcome.TAKEN)
    await settle(silent, events["bob"], WebhookOutcome.TAKEN)
    await silent.close()
    assert raw("SELECT count(*) FROM timeline; SELECT count(*) FROM webhook_events") == ["0", "0"]


async def test_two_nodes_never_tell_the_same(store: Store, other: Store, clock: FakeClock) -> None:
    people = [f"user-{number}" for number in range(12)]
    for user_id in people:
        await notify(store, user_id, "a")
    clock.advance(900)
    told: list[str] = []
    while True:
        found = await asyncio.gather(claim(store, clock, 4), claim(other, clock, 4))
        told += [event.user_id for events in found for event in events]
        if not any(found):
            break
    assert sorted(told) == sorted(people)


async def test_the_secret_is_one_for_all_nodes(store: Store, other: Store) -> None:
    secret = await store.webhook_secret()
    assert secret == await other.webhook_secret()
    assert secret.startswith("whsec_")
    assert secret != await store.secret()


async def test_the_controls_are_those_that_were_given() -> None:
    assert Notification("x", webhook=WebhookControls(60)).webhook == WebhookControls(60)
