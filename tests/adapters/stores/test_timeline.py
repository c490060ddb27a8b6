"""Notes for timelines: each notification that leaves no row has one, in the transaction of its cause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Store
from pns.contracts.timeline import Facts, Note, PushFacts
from pns.errors import NotificationIdConflict
from pns.model.category import Category, Channels
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.timeline import What
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import Engine, append, cursor, ids, named, submission
from tests.adapters.stores.pushing import TERMS, accept, phone

FIRST = (-(2**63), "", "")
Raw = Callable[[str], list[str]]


async def notes(store: Store, user_id: str = "ann") -> list[Note]:
    user_key = await store.timeline.user_key(user_id)
    return list(await store.timeline.notes(user_key, after=FIRST, limit=10_000))


async def told(store: Store, user_id: str = "ann") -> list[str]:
    """Of each note the id and what happened, in the order of ids."""
    return sorted(f"{note.notification_id} {note.what}" for note in await notes(store, user_id))


def late(clock: FakeClock, seconds: float) -> datetime:
    return datetime.fromtimestamp(clock.now() / 1e6, UTC) + timedelta(seconds=seconds)


def keyed(id: str, **more: object) -> Notification:
    return Notification("x", notification_id=id, collapse_key="k", **more)  # type: ignore[arg-type]


def liked(id: str, member: str = "m") -> Notification:
    return keyed(id, group=GroupMember(member))


async def mute(store: Store, user_id: str = "ann") -> None:
    assert await store.categories.declare(Category("ads", "Ads", "", Channels(), frozenset()))
    await store.categories.choose(user_id, {"ads": Channels(inbox=False)})


# ── what is noted ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_newer_one_replaces_is_noted_with_its_dates(store: Store, clock: FakeClock) -> None:
    await append(store, "ann", keyed("a", category="c"), Notification("y", notification_id="other"))
    first = clock.now()
    clock.jump(5)
    await append(store, "ann", keyed("b"))
    user_key = await store.timeline.user_key("ann")
    assert await notes(store) == [Note(user_key, clock.now(), "a", What.REPLACED, first, category="c")]


async def test_each_of_a_group_that_the_next_one_takes_over_is_noted(store: Store, clock: FakeClock) -> None:
    for id in ("a", "b", "c"):
        clock.jump(1)
        await append(store, "ann", liked(id, member=id))
    assert await told(store) == ["a replaced", "b replaced"]
    await append(store, "ann", liked("d"), liked("e"), liked("f"))
    assert await told(store) == [f"{id} replaced" for id in "abcde"]
    await append(store, "ann", keyed("g"))
    assert await told(store) == [f"{id} replaced" for id in "abcdef"]


async def test_what_is_replaced_in_its_own_request_is_noted_too(store: Store) -> None:
    await append(store, "new", keyed("a"), keyed("b"), Notification("x", notification_id="c"), keyed("d"))
    assert await told(store, "new") == ["a replaced", "b replaced"]
    await append(store, "new", keyed("a2"), keyed("a2"), keyed("b2"))
    assert await told(store, "new") == ["a replaced", "a2 replaced", "b replaced", "d replaced"]


async def test_what_is_muted_is_noted_each_time(store: Store, clock: FakeClock) -> None:
    await mute(store)
    await append(store, "ann", Notification("x", notification_id="a", category="ads"))
    await append(store, "ann", Notification("y", category="ads"), Notification("x", notification_id="kept"))
    assert [(note.what, note.category) for note in await notes(store)] == [(What.MUTED, "ads")] * 2
    clock.jump(1)
    await append(store, "ann", Notification("x", notification_id="a", category="ads"))
    assert [note.at for note in await notes(store)][2:] == [clock.now()]


async def test_what_comes_too_late_and_what_expires_are_noted(store: Store, clock: FakeClock) -> None:
    soon = late(clock, 10)
    await append(store, "ann", Notification("x", notification_id="soon", expire_date=soon))
    await append(store, "ann", Notification("x", notification_id="old", expire_date=late(clock, -1)))
    clock.jump(20)
    assert await store.expire(500) == {"ann"}
    assert await told(store) == ["old expired", "soon expired"]
    assert [note.at for note in await notes(store) if note.notification_id == "soon"] == [
        int(soon.timestamp() * 1_000_000)
    ]


async def test_what_is_withdrawn_is_noted_with_its_marks(store: Store, clock: FakeClock) -> None:
    await named(store, "ann", "a", "b")
    clock.jump(1)
    await store.mark("ann", Mark(MarkAs.ARCHIVED, ids=("a",)))
    await store.mark("ann", Mark(MarkAs.SEEN, ids=("b",)))
    marked = clock.now()
    clock.jump(1)
    assert await store.withdraw("ann", "a")
    assert await store.withdraw("ann", "b")
    assert not await store.withdraw("ann", "a")
    a, b = await notes(store)
    assert (a.what, a.seen_date, a.read_date, a.archived_date) == (What.WITHDRAWN, marked, marked, marked)
    assert (b.what, b.seen_date, b.read_date, b.archived_date) == (What.WITHDRAWN, marked, 0, None)


async def test_what_is_withdrawn_while_it_waits_is_noted(store: Store, clock: FakeClock) -> None:
    for id in ("a", "b"):
        waits = Notification("x", notification_id=id, deliver_date=late(clock, 60), category="c")
        await append(store, "ann", waits)
    clock.jump(1)
    assert await store.withdraw("ann", "a")
    assert not await store.withdraw("ann", "a")
    assert not await store.withdraw("bob", "b")
    user_key = await store.timeline.user_key("ann")
    assert await notes(store) == [Note(user_key, clock.now(), "a", What.WITHDRAWN, category="c")]


async def test_what_is_withdrawn_during_a_snooze_is_noted_with_its_date(
    store: Store, clock: FakeClock
) -> None:
    await append(store, "ann", keyed("a"), liked("b", "x"), Notification("x", notification_id="c"))
    stored = clock.now()
    for id in ("b", "c"):
        await store.later.snooze("ann", id, clock.now() + 60_000_000)
    before = await told(store)
    clock.jump(1)
    assert await store.take_out("ann", "b", "x")
    assert await store.withdraw("ann", "c")
    assert await told(store) == sorted([*before, "b withdrawn", "c withdrawn"])
    assert {note.create_date for note in await notes(store) if note.what is What.WITHDRAWN} == {stored}


async def test_the_last_member_that_is_taken_out_withdraws_the_notification(store: Store) -> None:
    await append(store, "ann", liked("a", "x"), liked("b", "y"))
    assert await store.take_out("ann", "a", "x")
    assert await told(store) == ["a replaced"]
    assert await store.take_out("ann", "a", "y")
    assert await told(store) == ["a replaced", "b withdrawn"]


async def test_what_is_refused_or_known_is_not_noted(store: Store) -> None:
    await named(store, "ann", "a")
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", keyed("b"), keyed("c"), Notification("other", notification_id="a"))
    await named(store, "ann", "a", "a")
    assert await notes(store) == []


async def test_nobody_is_known_by_a_note(store: Store, clock: FakeClock, raw: Raw) -> None:
    await mute(store, "bob")
    await append(store, "ann", Notification("x", notification_id="a", expire_date=late(clock, -1)))
    await append(store, "eve", Notification("x", expire_date=late(clock, -1)))
    assert await store.timeline.user_key("ann") == 0
    assert raw("SELECT count(*) FROM timeline") == ["0"]


async def test_a_store_without_timelines_notes_nothing(
    engine: Engine, store: Store, clock: FakeClock
) -> None:
    other = engine(timelines=False)
    await other.open()
    await mute(other)
    soon = late(clock, 1)
    await append(other, "ann", keyed("a"), keyed("b"), Notification("x", category="ads"))
    await append(other, "ann", keyed("c"), Notification("x", notification_id="soon", expire_date=soon))
    await append(other, "ann", liked("d"), liked("e"))
    await append(other, "ann", liked("f"), liked("g", "other"))
    clock.jump(2)
    assert await other.expire(100)
    assert await other.take_out("ann", "g", "m")
    assert await other.take_out("ann", "g", "other")
    assert ids(await other.inbox("ann", cursor())) == []
    await named(other, "ann", "z")
    assert await other.withdraw("ann", "z")
    await append(other, "ann", Notification("x", notification_id="later", deliver_date=late(clock, 60)))
    assert await other.withdraw("ann", "later")
    await other.close()
    assert await notes(store) == []


# ── upkeep ────────────────────────────────────────────────────────────────────────────────────────────


async def test_notes_go_when_they_are_old_and_with_their_user(
    store: Store, clock: FakeClock, raw: Raw
) -> None:
    for user_id in ("ann", "bob"):
        await append(store, user_id, keyed("a"), keyed("b"), keyed("c"))
    clock.jump(10)
    await append(store, "ann", keyed("d"))
    assert await store.timeline.prune(noted_before=clock.now(), limit=3) == 3
    assert await store.timeline.prune(noted_before=clock.now(), limit=3) == 1
    assert raw("SELECT notification_id FROM timeline") == ["c"]
    await store.erase("ann")
    assert raw("SELECT count(*) FROM timeline") == ["0"]
    assert await store.timeline.user_key("ann") == 0


async def test_an_erasure_removes_notes_in_bounded_steps(store: Store, raw: Raw) -> None:
    await append(store, "ann", *(keyed(f"n{number}") for number in range(1_500)))
    assert raw("SELECT count(*) FROM timeline") == ["1499"]
    await store.erase("ann")
    assert raw("SELECT count(*) FROM timeline") == ["0"]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────


async def test_rows_are_read_one_after_the_other(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="tablet"))
    pushed = [Notification(id, notification_id=id) for id in ("b", "a", "c")]
    await store.append([submission("ann", *pushed)], TERMS)
    await accept(store, clock)
    await store.mark_seen("ann", ["a"])
    user_key = await store.timeline.user_key("ann")
    facts: list[Facts] = []
    after = 0
    while found := await store.timeline.facts(user_key, after=after, limit=2):
        facts += found
        after = found[-1].seq
    assert [(each.notification_id, each.read_mark) for each in facts] == [("b", None), ("a", 0), ("c", None)]
    pushes: list[PushFacts] = []
    last = ("", 0)
    while some := await store.timeline.pushes(user_key, after=last, limit=1):
        pushes += some
        last = some[-1].notification_id, some[-1].push_key
    assert [(each.notification_id, each.status.state) for each in pushes] == [
        *[("a", "seen")] * 2,
        *[("b", "accepted")] * 2,
        *[("c", "accepted")] * 2,
    ]
    assert list(await store.timeline.pushes(user_key, after=("c", 2**60), limit=1)) == []
    assert list(await store.timeline.facts(0, after=0, limit=10)) == []


# ── any order ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
async def test_each_notification_is_kept_or_noted_once(store: Store, clock: FakeClock, seed: int) -> None:
    """In any order of what may happen, two requests at once included."""
    random_ = random.Random(seed)
    await mute(store)
    taken: list[str] = []

    def new() -> Notification:
        id = f"n{len(taken)}"
        taken.append(id)
        kind = random_.random()
        if kind < 0.3:
            return liked(id, random_.choice("xyz"))
        category = random_.choice([None, "ads", "news"])
        expires = random_.choice([None, None, late(clock, random_.choice([-1, 3]))])
        key = random_.choice([None, "k", "k2"])
        return Notification(id, notification_id=id, category=category, expire_date=expires, collapse_key=key)

    await named(store, "ann", "first")
    for _ in range(40):
        clock.jump(1)
        match random_.randrange(5):
            case 0 | 1 | 2:
                wanted = [
                    [new() for _ in range(random_.randrange(1, 4))] for _ in range(random_.randrange(1, 4))
                ]
                await asyncio.gather(*(append(store, "ann", *some) for some in wanted))
            case 3:
                await store.expire(100)
            case 4 if taken:
                await store.withdraw("ann", random_.choice(taken))
    clock.jump(10)
    await store.expire(100)
    kept = ids(await store.inbox("ann", cursor()))
    assert sorted([note.notification_id for note in await notes(store)] + kept) == sorted(["first", *taken])
