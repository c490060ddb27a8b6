"""What waits for its time: apart from the inbox until then, and delivered exactly once, never early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.later import Behind, Delivered, WaitingCursor
from pns.contracts.store import CountsOf, State, Store
from pns.errors import NotificationIdConflict, UnknownNotification
from pns.model.category import Category, Channels
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.pending import PendingNotification
from pns.model.timeline import What
from pns.model.timestamp import SECOND
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, count, cursor, inbox, named, seen, unseen
from .pushing import TERMS, claim, phone, push, told

Raw = Callable[[str], list[str]]
START = datetime(1970, 1, 1, tzinfo=UTC)


def after(clock: FakeClock, seconds: float) -> datetime:
    return START + timedelta(microseconds=clock.now(), seconds=seconds)


def later(clock: FakeClock, id: str, seconds: float = 60, **more: object) -> Notification:
    """A notification that waits for so many seconds; its id and its data are the same word."""
    return Notification(id, id, deliver_date=after(clock, seconds), **more)  # type: ignore[arg-type]


async def pending(store: Store, user_id: str = "ann", **more: object) -> list[str]:
    return [item.notification_id for item in await page(store, user_id, **more)]


async def page(store: Store, user_id: str = "ann", **more: object) -> tuple[PendingNotification, ...]:
    asked = WaitingCursor(**{"limit": 100, "max_bytes": PLENTY, **more})  # type: ignore[arg-type]
    return (await store.later.page(user_id, asked)).items


async def deliver(store: Store, *, limit: int = 100) -> Delivered:
    return await store.later.deliver(limit=limit, max_bytes=PLENTY)


async def snooze(store: Store, clock: FakeClock, id: str, seconds: float = 60) -> None:
    await store.later.snooze("ann", id, clock.now() + round(seconds * SECOND))


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_apart_until_it_is_due(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    appended = await append(store, "ann", later(clock, "a", category="c"), "now")
    assert (appended.created, appended.waiting, {*appended.changed}) == (2, 1, {"ann"})
    assert (await inbox(store, "ann"), await count(store, "ann")) == (["now"], 1)
    assert (await store.counts([CountsOf("ann")]))[CountsOf("ann")].categories == {}
    assert await pending(store) == ["a"]
    assert await store.later.next_delivery() == clock.now() + 60 * SECOND
    clock.advance(59.999999)
    assert await deliver(store) == Delivered()
    assert await unseen(store, "ann") == ["now"]
    clock.advance(0.000001)
    assert await deliver(store) == Delivered(1, 1, frozenset({"ann"}))
    assert await deliver(store) == Delivered()
    items = (await store.unseen("ann", limit=9, max_bytes=PLENTY)).items
    assert [(item.notification_data, item.seq, item.create_date) for item in items] == [
        ("now", 1, clock.now() - 60 * SECOND),
        ("a", 2, clock.now()),
    ]
    assert (await store.counts([CountsOf("ann")]))[CountsOf("ann")].categories["c"].unseen == 1
    assert (await pending(store), await store.later.next_delivery()) == ([], None)


async def test_a_user_who_has_nothing_else_is_known(store: Store, clock: FakeClock) -> None:
    appended = await append(store, "ann", later(clock, "a"))
    assert (appended.created, appended.changed) == (1, {})
    state = (await store.states(["ann"]))["ann"]
    assert state.user_key > 0
    await append(store, "bob", "x")
    assert await pending(store) == ["a"]
    clock.advance(60)
    await deliver(store)
    assert await unseen(store, "ann") == ["a"]
    assert (await store.states(["ann"]))["ann"].user_key == state.user_key


async def test_its_id_is_taken(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a"))
    for again in (later(clock, "a"), later(clock, "a", 5), Notification("a", "a")):
        repeated = await append(store, "ann", again)
        assert (repeated.notification_ids, repeated.created) == (["a"], 0)
    for other in (Notification("b", "a"), Notification("b", "a", deliver_date=after(clock, 9))):
        with pytest.raises(NotificationIdConflict):
            await append(store, "ann", other)
    assert (await append(store, "bob", later(clock, "a"))).created == 1
    clock.advance(60)
    assert (await deliver(store)).stored == 2
    assert (await append(store, "ann", later(clock, "a"))).created == 0
    assert (await inbox(store, "ann"), await pending(store)) == (["a"], [])


async def test_the_id_of_what_is_kept_is_taken(store: Store, clock: FakeClock) -> None:
    await named(store, "ann", "a")
    assert (await append(store, "ann", later(clock, "a"))).created == 0
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", Notification("other", "a", deliver_date=after(clock, 9)), "new")
    assert (await inbox(store, "ann"), await pending(store)) == (["a"], [])


async def test_one_request_may_name_an_id_twice(store: Store, clock: FakeClock) -> None:
    appended = await append(store, "ann", later(clock, "a"), Notification("a", "a"), later(clock, "a", 5))
    assert (appended.notification_ids, appended.created) == (["a", "a", "a"], 1)
    assert (await inbox(store, "ann"), await pending(store)) == ([], ["a"])
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", later(clock, "b"), Notification("other", "b"))
    assert await pending(store) == ["a"]
    assert (await append(store, "ann", Notification("c", "c"), later(clock, "c"))).created == 1
    assert (await inbox(store, "ann"), await pending(store)) == (["c"], ["a"])


async def test_requests_of_one_commit_know_each_other(store: Store, clock: FakeClock) -> None:
    """The first holds the writer, so the others share a commit."""
    some = [append(store, "ann", "x"), *(append(store, "ann", later(clock, "a")) for _ in range(3))]
    found = await asyncio.gather(*some)
    assert sorted(each.created for each in found) == [0, 0, 1, 1]
    assert await pending(store) == ["a"]


async def test_a_past_deliver_date_is_no_wait(store: Store, clock: FakeClock) -> None:
    appended = await append(store, "ann", later(clock, "a", -5), later(clock, "b", 0))
    assert (appended.created, appended.waiting) == (2, 0)
    page = await store.unseen("ann", limit=9, max_bytes=PLENTY)
    assert [item.create_date for item in page.items] == [clock.now() - 5 * SECOND, clock.now()]


async def test_a_waiting_one_holds_nothing_back(store: Store, clock: FakeClock) -> None:
    """A repeat of a waiting id does not count as one that replaced what stands before it."""
    await append(store, "ann", later(clock, "a", collapse_key="k"))
    new = Notification("new", "new", collapse_key="k")
    await append(store, "ann", new, later(clock, "a", collapse_key="k"))
    assert (await inbox(store, "ann"), await pending(store)) == (["new"], ["a"])


# ── taking back ───────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_taken_back(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a"), later(clock, "b"))
    assert [await store.withdraw("ann", "a") for _ in range(2)] == [True, False]
    assert await store.withdraw("bob", "b") is False
    clock.advance(60)
    await deliver(store)
    assert await inbox(store, "ann") == ["b"]
    assert await store.withdraw("ann", "b") is True
    assert (await inbox(store, "ann"), await count(store, "ann")) == ([], 0)


async def test_what_was_taken_back_is_never_seen(store: Store, other: Store, clock: FakeClock) -> None:
    """The delete and the delivery contend for one row; a True means that nobody sees it from then on."""
    await race(store, other, clock, 25)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_what_was_taken_back_is_never_seen_in_many_races(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await race(store, other, clock, 2_000)


async def race(store: Store, other: Store, clock: FakeClock, rounds: int) -> None:
    """Each round is ten races, on two nodes."""
    for turn in range(rounds):
        names = [f"{turn}.{number}" for number in range(10)]
        await append(store, "ann", *(later(clock, name, 1) for name in names))
        clock.advance(1)
        withdrawals = [
            (store if number % 2 else other).withdraw("ann", name) for number, name in enumerate(names)
        ]
        deliveries = [deliver(each, limit=3) for each in (store, other, store, other)]
        mixed = [call for pair in zip(withdrawals, [*deliveries, *[None] * 6], strict=True) for call in pair]
        found = await asyncio.gather(*(call for call in mixed if call is not None))
        assert [each for each in found if each is False] == []
        assert (await inbox(store, "ann"), await pending(store), await count(store, "ann")) == ([], [], 0)
    user_key = await store.timeline.user_key("ann")
    notes = await store.timeline.notes(user_key, after=(-(2**63), "", ""), limit=99_999)
    told = [note.notification_id for note in notes if note.what is What.WITHDRAWN]
    assert sorted(told) == sorted(f"{turn}.{number}" for turn in range(rounds) for number in range(10))


# ── delivering ────────────────────────────────────────────────────────────────────────────────────────


async def test_due_ones_come_in_the_order_of_their_times(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "c", 3), later(clock, "b", 1), later(clock, "a", 3))
    await append(store, "bob", later(clock, "z", 2))
    clock.advance(9)
    assert [(await deliver(store, limit=2)).taken for _ in range(3)] == [2, 2, 0]
    assert (await unseen(store, "ann"), await unseen(store, "bob")) == (["b", "a", "c"], ["z"])


async def test_a_step_ends_before_it_has_too_many_bytes(store: Store, clock: FakeClock) -> None:
    many = [Notification("é" * 100, f"{number}", deliver_date=after(clock, 1)) for number in range(5)]
    await append(store, "ann", *many)
    clock.advance(1)
    steps = [await store.later.deliver(limit=9, max_bytes=size) for size in (450, 1, 399, 9_999)]
    assert [step.taken for step in steps] == [2, 1, 1, 1]


async def test_it_is_stored_as_one_that_comes_in_then(store: Store, clock: FakeClock) -> None:
    """What it replaces, whether it is pushed and whether its user wants it, is decided at its time."""
    await append(store, "ann", later(clock, "a", collapse_key="k"), later(clock, "b", category="c"))
    await append(store, "ann", Notification("old", collapse_key="k"))
    await store.outbox.register(phone())
    await store.categories.declare(Category("c", "C", "", Channels(), frozenset()))
    await store.categories.choose("ann", {"c": Channels(inbox=False)})
    clock.advance(60)
    delivered = await store.later.deliver(limit=9, max_bytes=PLENTY, terms=TERMS)
    assert delivered == Delivered(2, 1, frozenset({"ann"}))
    assert (await unseen(store, "ann"), await count(store, "ann")) == (["a"], 1)
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_of_two_with_one_collapse_key_the_later_stays(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "b", 2, collapse_key="k"), later(clock, "a", 1, collapse_key="k"))
    clock.advance(9)
    await deliver(store)
    assert (await inbox(store, "ann"), await count(store, "ann")) == (["b"], 1)


async def test_it_joins_the_group_of_then(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a", collapse_key="k", group=GroupMember("m", "{}")))
    (item,) = await page(store)
    assert item.group is not None
    assert (item.group.times, [(each.member, each.data) for each in item.group.latest]) == (1, [("m", "{}")])
    await append(store, "ann", Notification("x", "x", collapse_key="k", group=GroupMember("n")))
    clock.advance(60)
    await deliver(store)
    (kept,) = (await store.inbox("ann", cursor())).items
    assert kept.group is not None
    assert (kept.notification_id, kept.group.times, kept.group.members) == ("a", 2, 2)


async def test_what_expired_meanwhile_is_not_stored(store: Store, clock: FakeClock) -> None:
    """Late after an outage: delivered once, unless it has expired."""
    await append(store, "ann", later(clock, "a", 1, expire_date=after(clock, 2)), later(clock, "b", 1))
    clock.advance(1_000_000)
    assert await deliver(store) == Delivered(2, 1, frozenset({"ann"}))
    assert (await inbox(store, "ann"), await pending(store)) == (["b"], [])
    (item,) = (await store.inbox("ann", cursor())).items
    assert item.create_date == clock.now() - 999_999 * SECOND


async def test_a_clock_that_steps_back_delivers_nothing_early(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a", 60))
    clock.jump(59)
    assert await deliver(store) == Delivered()
    clock.jump(-3600)
    clock.advance(60)
    assert await deliver(store) == Delivered()
    clock.jump(3600)
    assert (await deliver(store)).stored == 1


async def test_two_nodes_deliver_each_once(store: Store, other: Store, clock: FakeClock) -> None:
    await append(store, "ann", *(later(clock, f"{number:02}", 1) for number in range(60)))
    clock.advance(1)
    steps = await asyncio.gather(*(deliver(each, limit=7) for each in (store, other) * 15))
    while (step := await deliver(store, limit=7)).taken:
        steps.append(step)
    assert sum(step.stored for step in steps) == 60
    assert (await count(store, "ann"), len(set(await inbox(store, "ann")))) == (60, 60)


async def test_what_older_code_stored_under_its_id_stays(store: Store, raw: Raw, clock: FakeClock) -> None:
    """Code of schema 4 knows no waiting: a notify there is obeyed, and what waits gives way at its time."""
    await append(store, "ann", "x", later(clock, "a"), later(clock, "b"))
    for id, data in (("a", "a"), ("b", "other")):
        raw(BESIDE.format(id=id, data=data))
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", Notification("b", "b"))
    assert (await append(store, "ann", Notification("other", "b"))).created == 0
    clock.advance(60)
    assert (await deliver(store)).stored == 0
    assert (await inbox(store, "ann"), await pending(store)) == (["x", "a", "other"], [])
    assert await count(store, "ann") == 3


BESIDE = """
UPDATE users SET last_seq = last_seq + 1, unseen = unseen + 1, version = version + 1 WHERE user_id = 'ann';
INSERT INTO notifications (user_key, seq, notification_id, data, create_date)
SELECT user_key, last_seq, '{id}', '{data}', 1 FROM users WHERE user_id = 'ann'
"""


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_is_listed_by_time_then_by_id(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "c", 5), later(clock, "b", 9, category="x"), later(clock, "a", 9))
    await append(store, "bob", later(clock, "z", 1))
    assert await pending(store) == ["c", "a", "b"]
    assert await pending(store, before="") == ["b", "a", "c"]
    assert await pending(store, after="a") == ["b"]
    assert await pending(store, before="a") == ["c"]
    assert await pending(store, limit=2) == ["c", "a"]
    assert await pending(store, max_bytes=2) == ["c", "a"]
    assert await pending(store, max_bytes=0) == ["c"]
    assert await pending(store, category="x") == ["b"]
    (item,) = await page(store, category="x")
    assert item.deliver_date == item.create_date == clock.now() + 9 * SECOND
    (behind,) = await page(store, limit=1)
    key = (await store.states(["ann"]))["ann"].user_key
    await store.withdraw("ann", "c")
    assert await pending(store, behind=Behind(key, behind.deliver_date, "c")) == ["a", "b"]
    assert await pending(store, behind=Behind(key + 7, 0, "")) == []
    for gone in ({"after": "c"}, {"before": "c"}, {"after": "never"}, {"after": "\0"}):
        with pytest.raises(UnknownNotification):
            await pending(store, **gone)
    assert await pending(store, "nobody") == []
    with pytest.raises(UnknownNotification):
        await pending(store, "nobody", after="a")
    assert await store.later.count() == 3


# ── erasing ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_goes_with_its_user(store: Store, raw: Raw, clock: FakeClock) -> None:
    await append(store, "ann", *(later(clock, f"{number}") for number in range(7)))
    await append(store, "bob", later(clock, "b"))
    await store.erase("ann")
    assert raw("SELECT notification_id FROM pending") == ["b"]
    assert raw("SELECT user_key FROM erased_pending") == []
    await append(store, "ann", later(clock, "a"))
    clock.advance(60)
    await deliver(store)
    assert (await inbox(store, "ann"), await inbox(store, "bob")) == (["a"], ["b"])


async def test_what_waits_goes_when_older_code_erases(store: Store, raw: Raw, clock: FakeClock) -> None:
    await append(store, "ann", *(later(clock, f"{number}", 1 + 1_000 * (number > 2)) for number in range(7)))
    raw("DELETE FROM users WHERE user_id = 'ann'")
    await append(store, "ann", "new")
    clock.advance(1)
    assert await deliver(store) == Delivered(3)
    assert await pending(store) == []
    assert await store.prune(seen_before=None, limit=3) == 3
    assert await store.prune(seen_before=None, limit=3) == 2
    assert raw("SELECT 1 FROM pending UNION ALL SELECT 1 FROM erased_pending") == []
    assert await inbox(store, "ann") == ["new"]


async def test_nothing_prunes_what_waits(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a", 86_400 * 400))
    clock.advance(86_400 * 399)
    await store.prune(seen_before=clock.now(), limit=500)
    await store.expire(500)
    assert await pending(store) == ["a"]


# ── snoozing ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_snoozed_one_comes_back_unseen(store: Store, clock: FakeClock) -> None:
    await named(store, "ann", "a", "b")
    created = (await store.inbox("ann", cursor())).items[0].create_date
    clock.advance(5)
    await store.mark("ann", Mark(MarkAs.ARCHIVED, ids=("a",)))
    before = (await store.counts([CountsOf("ann")]))[CountsOf("ann")]
    await snooze(store, clock, "a")
    assert (await inbox(store, "ann"), await seen(store, "ann"), await pending(store)) == (["b"], [], ["a"])
    after = (await store.counts([CountsOf("ann")]))[CountsOf("ann")]
    assert (after.unseen, after.unread, after.version > before.version) == (1, 1, True)
    assert (await append(store, "ann", Notification("a", "a"))).created == 0
    (item,) = await page(store)
    assert (item.create_date, item.deliver_date) == (created, clock.now() + 60 * SECOND)
    clock.advance(60)
    assert await deliver(store) == Delivered(1, 1, frozenset({"ann"}))
    assert (await unseen(store, "ann"), await count(store, "ann")) == (["b", "a"], 2)
    item2 = (await store.inbox("ann", cursor())).items[1]
    assert (item2.create_date, item2.read_mark, item2.archived_date) == (created, None, None)


async def test_a_snooze_until_a_time_long_past_is_due_now(store: Store, clock: FakeClock) -> None:
    """Devices ask for it to bring something back; nothing is overdue by their doing."""
    await named(store, "ann", "a")
    for until in (0, clock.now() - SECOND):
        await store.later.snooze("ann", "a", until)
        assert await store.later.next_delivery() == clock.now()
    await snooze(store, clock, "a")
    assert await store.later.next_delivery() == clock.now() + 60 * SECOND


@pytest.mark.parametrize("mark", [None, MarkAs.SEEN, MarkAs.READ, MarkAs.ARCHIVED])
async def test_every_number_follows_a_snooze(store: Store, clock: FakeClock, mark: MarkAs | None) -> None:
    await append(store, "ann", Notification("a", "a", category="c"))
    if mark is not None:
        await store.mark("ann", Mark(mark, ids=("a",)))
    await snooze(store, clock, "a")
    numbers = (await store.counts([CountsOf("ann")]))[CountsOf("ann")]
    assert (numbers.unseen, numbers.unread, numbers.categories) == (0, 0, {})
    clock.advance(60)
    await deliver(store)
    numbers = (await store.counts([CountsOf("ann")]))[CountsOf("ann")]
    assert (numbers.unseen, numbers.unread, numbers.categories["c"].unseen) == (1, 1, 1)


async def test_what_cannot_be_snoozed_is_unknown(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "later"), Notification("x", "x", expire_date=after(clock, 1)))
    await append(store, "bob", Notification("b", "b"))
    clock.advance(1)
    for id in ("never", "later", "x", "b", "\0"):
        with pytest.raises(UnknownNotification):
            await snooze(store, clock, id)
    with pytest.raises(UnknownNotification):
        await store.later.snooze("nobody", "b", clock.now())
    assert (await pending(store), await inbox(store, "bob")) == (["later"], ["b"])


async def test_a_snoozed_one_is_snoozed_again_and_taken_back(store: Store, clock: FakeClock) -> None:
    await named(store, "ann", "a", "b")
    await snooze(store, clock, "a")
    await snooze(store, clock, "a", 5)
    await snooze(store, clock, "b", 5)
    assert await store.withdraw("ann", "b") is True
    clock.advance(5)
    await deliver(store)
    assert await unseen(store, "ann") == ["a"]


async def test_it_stays_away_where_something_unseen_has_its_collapse_key(
    store: Store, clock: FakeClock
) -> None:
    await append(store, "ann", Notification("a", "a", collapse_key="k"))
    await append(store, "ann", Notification("b", "b", collapse_key="l"))
    for id in "ab":
        await snooze(store, clock, id)
    for key in "kl":
        await append(store, "ann", Notification(f"new {key}", f"new-{key}", collapse_key=key))
    await store.mark_seen("ann", ["new-l"])
    clock.advance(60)
    assert (await deliver(store)).stored == 1
    assert (await inbox(store, "ann"), await unseen(store, "ann")) == (
        ["new k", "new l", "b"],
        ["new k", "b"],
    )
    assert await pending(store) == []


async def test_of_two_that_come_back_at_once_the_first_stays(store: Store, clock: FakeClock) -> None:
    for id in "ab":
        await append(store, "ann", Notification(id, id, collapse_key="k"))
        await snooze(store, clock, id)
    await append(store, "ann", later(clock, "c", 60, collapse_key="k"), later(clock, "d", 61))
    clock.advance(61)
    assert (await deliver(store)).taken == 4
    assert await inbox(store, "ann") == ["c", "d"]


async def test_it_stays_away_when_it_expired(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", Notification("a", "a", expire_date=after(clock, 30)))
    await snooze(store, clock, "a")
    clock.advance(30)
    with pytest.raises(UnknownNotification):
        await snooze(store, clock, "a")
    clock.advance(30)
    assert await deliver(store) == Delivered(1)
    assert (await inbox(store, "ann"), await count(store, "ann")) == ([], 0)


async def test_a_snoozed_group_lives_on(store: Store, raw: Raw, clock: FakeClock) -> None:
    def like(id: str, member: str) -> Notification:
        return Notification("x", id, collapse_key="k", group=GroupMember(member))

    await append(store, "ann", like("1", "m"), like("2", "n"), like("3", "m"))
    await snooze(store, clock, "3")
    assert raw("SELECT 1 FROM ended_groups") == []
    (item,) = await page(store)
    assert item.group is not None
    assert (item.group.times, item.group.members) == (3, 2)
    assert [(await append(store, "ann", like(id, "m"))).created for id in "123"] == [0, 0, 0]
    assert await store.take_out("ann", "1", "n") is True
    assert await store.take_out("ann", "1", "n") is False
    clock.advance(60)
    await deliver(store)
    assert raw("SELECT 1 FROM ended_groups") == []
    await append(store, "ann", like("4", "o"))
    (kept,) = (await store.inbox("ann", cursor())).items
    assert kept.group is not None
    assert (kept.notification_id, kept.group.times, kept.group.members) == ("4", 3, 2)


async def test_a_group_ends_with_its_snoozed_notification(store: Store, raw: Raw, clock: FakeClock) -> None:
    def like(id: str, key: str) -> Notification:
        return Notification("x", id, collapse_key=key, group=GroupMember("m"))

    for id in ("withdrawn", "left", "away"):
        await append(store, "ann", like(id, id))
        await snooze(store, clock, id)
    await append(store, "ann", Notification("y", collapse_key="away"))
    assert await store.withdraw("ann", "withdrawn") is True
    assert await store.take_out("ann", "left", "m") is True
    clock.advance(60)
    assert await deliver(store) == Delivered(1)
    assert len(raw("SELECT 1 FROM ended_groups")) == 3
    assert (await store.prune(seen_before=None, limit=500)) > 0
    assert raw("SELECT 1 FROM group_members UNION ALL SELECT 1 FROM group_ids") == []


async def test_a_member_takes_back_what_waits(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", later(clock, "a", collapse_key="k", group=GroupMember("m")), later(clock, "b"))
    assert await store.take_out("ann", "a", "n") is False
    assert await store.take_out("ann", "b", "m") is False
    assert await store.take_out("ann", "a", "m") is True
    assert await pending(store) == ["b"]


async def test_it_is_pushed_when_it_comes_back(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    assert told(await claim(store, clock)) == [("phone", "a")]
    await snooze(store, clock, "a")
    clock.advance(60)
    await store.later.deliver(limit=9, max_bytes=PLENTY, terms=TERMS)
    assert told(await claim(store, clock)) == [("phone", "a")]


async def test_a_snooze_and_a_mark_at_once_leave_true_numbers(
    store: Store, other: Store, clock: FakeClock
) -> None:
    for turn in range(20):
        id = f"{turn}"
        await named(store, "ann", id)
        await asyncio.gather(
            snooze(store, clock, id), other.mark_seen("ann", [id]), other.withdraw("ann", f"{turn - 1}")
        )
    assert (await count(store, "ann"), await inbox(store, "ann")) == (0, [])
    assert await pending(store) == ["19"]
    assert (await store.states(["ann"]))["ann"] > State()
