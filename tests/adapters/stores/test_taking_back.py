"""Taking a publication back: the unseen leaves every inbox, exactly, and whoever had no turn gets none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import pytest
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Publication, Stretch, Subscriber, TakenBack
from pns.contracts.store import CountsOf, Store
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.timeline import What
from pns.testing.clock import FakeClock

from .conftest import append, count, inbox
from .pushing import LEASE, START, TERMS, accept, claim, phone
from .test_groups import items, like, shown

USERS = [f"user {number}" for number in range(6)]
PLENTY = 2**30


async def withdrawn(store: Store, user_id: str) -> list[str]:
    """The ids of the user's notes of withdrawals."""
    user_key = await store.timeline.user_key(user_id)
    notes = await store.timeline.notes(user_key, after=(-(2**63), "", ""), limit=99)
    return [note.notification_id for note in notes if note.what is What.WITHDRAWN]


def note(id: str = "p", data: str = "data", **more: object) -> Notification:
    return Notification(data, notification_id=id, **more)  # type: ignore[arg-type]


async def publish(
    store: Store,
    *notifications: Notification,
    id: str = "p",
    to: Sequence[str] = USERS,
    complete: bool = True,
) -> Publication:
    """Publish, and reach `to`, whom the store comes to know."""
    for user_id in to:
        await store.audiences.subscribe("topic/all", user_id, make=True)
    some = notifications or (note(id),)
    wanted = Publication(publication_id=id, audience="topic/all", notifications=some, create_date=START)
    kept = await store.audiences.publish(wanted)
    users = [u for u in await store.audiences.subscribers(EVERYBODY, after=0, limit=999) if u.user_id in to]
    assert await store.audiences.reach(kept, users, complete=complete, terms=TERMS) is not None
    return kept


async def take_back(store: Store, id: str = "p", *, limit: int = 100) -> list[TakenBack]:
    """Take it back, step by step."""
    await store.audiences.take_back(id)
    publication = await kept(store, id)
    steps = []
    while publication.taken_back_date is None:
        stretch = await store.audiences.holders(publication, limit=limit)
        step = await store.audiences.take_from(publication, stretch)
        assert step is not None
        steps.append(step)
        publication = await kept(store, id)
    return steps


async def kept(store: Store, id: str = "p") -> Publication:
    found = await store.audiences.publication(id)
    assert found is not None
    return found


def total(steps: Sequence[TakenBack]) -> tuple[int, set[str]]:
    return sum(step.notifications for step in steps), set().union(*(step.changed for step in steps))


# ── what is taken, and what is not ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_what_is_unseen_goes_from_everybody_who_has_it(store: Store, limit: int) -> None:
    sees, reads, other, withdrew, *others = USERS
    await append(store, other, note("p", "its own"))
    await append(store, "by itself", note("p", "data"), note("q", "data"))
    await append(store, "nothing of it", note("q", "data"))
    await publish(store, note("p", category="c"), note("r", "more"))
    await store.mark_seen(sees, ["p"])
    await store.mark(reads, Mark(MarkAs.READ, ids=("p", "r")))
    await store.withdraw(withdrew, "p")
    steps = await take_back(store, limit=limit)
    assert total(steps) == (1 + 0 + 1 + 1 + 2 * len(others) + 1, {*USERS, "by itself"} - {reads})
    assert max(len(step.changed) for step in steps) <= limit
    assert await inbox(store, sees) == ["data"]
    assert await inbox(store, reads) == ["data", "more"]
    assert await inbox(store, other) == ["its own"]
    assert [await inbox(store, user) for user in (withdrew, *others)] == [[]] * 3
    assert await inbox(store, "by itself") == await inbox(store, "nothing of it") == ["data"]
    counts = await store.counts([CountsOf(user) for user in (*USERS, "by itself")])
    numbers = {asked.user_id: (found.unseen, found.unread) for asked, found in counts.items()}
    assert numbers == {sees: (0, 1), reads: (0, 0), other: (1, 1), "by itself": (1, 1)} | dict.fromkeys(
        (withdrew, *others), (0, 0)
    )
    assert {name for found in counts.values() for name in found.categories} == {"c"}, "the seen one's"
    assert (await kept(store)).taken_back == len(USERS)


async def test_counts_rise_in_version_once_a_step_for_those_concerned(store: Store) -> None:
    await publish(store, note("p"), note("q"), to=USERS[:2])
    await store.mark_seen(USERS[0], ["p", "q"])
    before = await store.states(USERS[:2])
    await take_back(store)
    after = await store.states(USERS[:2])
    assert after[USERS[0]] == before[USERS[0]]
    assert after[USERS[1]][:3] == (before[USERS[1]].user_key, before[USERS[1]].version + 1, 0)


async def test_a_member_is_taken_out_of_the_group(store: Store) -> None:
    """And the notification goes with the last one; a seen group stays as it is."""
    alone, among, seen, twice, other = USERS[:5]
    await append(store, among, like("b1"), like("a1"))
    await append(store, twice, like("a1"))
    await append(store, other, replace(like("a9"), notification_data="other data"), like("b1"))
    await publish(store, like("a9"), to=USERS[:5])
    await append(store, among, like("c1"))
    await append(store, seen, like("b1"))
    await store.mark_all_seen(seen)
    version = {
        user: found.version for user, found in (await store.counts([CountsOf(u) for u in USERS])).items()
    }
    assert total(await take_back(store)) == (3, {alone, among, twice})
    assert await shown(store, alone) == await shown(store, twice) == []
    assert await shown(store, among) == [("c1", 2, 2, ["c", "b"])], "a1 went with its member"
    assert await shown(store, seen) == [("b1", 2, 2, ["b", "a"])]
    assert await shown(store, other) == [("b1", 2, 2, ["b", "a"])]
    assert [await count(store, user) for user in USERS[:5]] == [0, 1, 0, 0, 1]
    now = await store.counts([CountsOf(among), CountsOf(seen), CountsOf(other)])
    assert {asked.user_id for asked, found in now.items() if found.version > version[asked]} == {among}


async def test_several_of_one_group_go_one_by_one(store: Store) -> None:
    await append(store, USERS[0], like("z1"))
    await publish(store, like("a1"), like("b1"), like("a2"), to=USERS[:2])
    assert total(await take_back(store)) == (4, set(USERS[:2]))
    assert await shown(store, USERS[0]) == [("a2", 1, 1, ["z"])]
    assert await shown(store, USERS[1]) == []


async def test_one_with_a_group_leaves_alone_what_has_none(store: Store) -> None:
    """By itself the application sent it without a group, or with one where the publication has none."""
    await append(store, USERS[0], note("a1", "data of a1"), like("b1"))
    await append(store, USERS[1], like("b1"), like("p1"))
    await publish(store, like("a1"), note("p1", "data of p1"), to=USERS[2:3])
    await take_back(store)
    assert await shown(store, USERS[0]) == [("b1", 1, 1, ["b"])]
    assert await shown(store, USERS[1]) == await shown(store, USERS[2]) == []


@pytest.mark.parametrize("seed", range(8))
async def test_it_is_as_withdrawing_each(store: Store, raw: Callable[[str], list[str]], seed: int) -> None:
    """Random histories: each user has a twin from whom it is withdrawn, or whose members are taken out."""
    random = Random(seed)
    pool = [
        *(note(id, data, category=random.choice([None, "c"])) for id in "abc" for data in "xy"),
        *(note(id, "x", collapse_key=random.choice("kl")) for id in "de"),
        *(note(f"{m}{n}", "x", collapse_key="k", group=GroupMember(f"user:{m}")) for m in "mn" for n in "12"),
    ]
    wanted = {n.notification_id: n for n in random.sample(pool, 5)}
    for user in range(5):
        history = random.sample(pool, random.randint(0, 8))
        seen = random.sample("abcde", 2)
        for twin in ("all", "one"):
            await store.audiences.subscribe("topic/all", f"{twin} {user}", make=True)
            for each in {n.notification_id: n for n in history}.values():
                await append(store, f"{twin} {user}", each)
            await store.mark_seen(f"{twin} {user}", seen)
    twins = [f"{twin} {user}" for user in range(5) for twin in ("all", "one")]
    await publish(store, *wanted.values(), to=twins)
    for user in range(5):
        for each in wanted.values():
            unseen = {i.notification_id: i for i in await items(store, f"one {user}") if i.seen_date is None}
            if each.group is None:
                found = unseen.get(str(each.notification_id))
                if found is not None and found.notification_data == each.notification_data:
                    await store.withdraw(f"one {user}", found.notification_id)
            elif any(item.group is not None for item in unseen.values()):
                await store.take_out(f"one {user}", str(each.notification_id), each.group.member)
    await take_back(store, limit=3)
    lines = raw(
        "SELECT u.user_id, u.unseen, u.seen_unread, n.seq, n.notification_id, n.data, n.seen_date, n.grouped"
        " FROM users u LEFT JOIN notifications n ON n.user_key = u.user_key ORDER BY 1, 4"
    )
    ones = [row[4:] for row in lines if row.startswith("one ")]
    assert [row[4:] for row in lines if row.startswith("all ") and row[4:] not in ones] == []


async def test_what_a_user_snoozed_does_not_come_back(store: Store, clock: FakeClock) -> None:
    """A member goes out of a snoozed group, and the group comes back without it."""
    alone, among, other = USERS[:3]
    await append(store, among, like("b1"))
    await append(store, other, note("p", "its own"))
    await publish(store, note("p"), like("a1"), to=USERS[:3])
    until = clock.now() + 60_000_000
    for user, id in ((alone, "p"), (alone, "a1"), (among, "p"), (among, "a1"), (other, "p")):
        await store.later.snooze(user, id, until)
    assert total(await take_back(store)) == (5, {alone, among, other})
    clock.jump(61)
    await store.later.deliver(limit=100, max_bytes=PLENTY)
    assert await inbox(store, alone) == []
    assert await shown(store, among) == [("a1", 1, 1, ["b"])]
    assert await inbox(store, other) == ["its own"]
    assert (await kept(store)).taken_back == 3
    noted = {user: await withdrawn(store, user) for user in USERS[:3]}
    assert noted == {alone: ["a1", "p"], among: ["p"], other: ["a1"]}


async def test_timelines_note_what_was_taken(store: Store, raw: Callable[[str], list[str]]) -> None:
    """As withdrawn: of a group the notification, when the last member goes."""
    await append(store, USERS[1], like("b1"))
    await publish(store, like("a1"), note("p", category="c"), to=USERS[:3])
    await store.mark_seen(USERS[2], ["a1", "p"])
    await take_back(store)
    noted = raw(
        "SELECT u.user_id, t.notification_id, t.what, t.at, t.seen_date, t.category"
        " FROM timeline t JOIN users u ON u.user_key = t.user_key WHERE t.what = 'withdrawn' ORDER BY 1, 2"
    )
    rows = [(USERS[0], "a1", ""), (USERS[0], "p", "c"), (USERS[1], "p", "c")]
    assert noted == [f"{user}|{id}|withdrawn|{START}||{category}" for user, id, category in rows]


async def test_waiting_pushes_are_cancelled_and_shown_ones_dismissed(store: Store, clock: FakeClock) -> None:
    for user in USERS[:2]:
        await store.outbox.register(phone(user, f"phone of {user}"))
    await publish(store, note("p"), to=USERS[:1])
    await accept(store, clock)
    await publish(store, note("q"), to=USERS[:2], id="q")
    for id in ("p", "q"):
        await take_back(store, id)
    assert await claim(store, clock) == []
    assert await store.outbox.dismiss(USERS[0], clock.now() + LEASE) == 1
    assert [push.dismissed for push in await claim(store, clock)] == [("p",)]


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_had_no_turn_gets_none(store: Store, other: Store, clock: FakeClock) -> None:
    """Also where a step is on its way, and however often it is published anew."""
    publication = await publish(store, to=USERS[:2], complete=False)
    after = replace(publication, after=(await kept(store)).after)
    users = await store.audiences.subscribers(EVERYBODY, after=after.after, limit=99)
    for user in USERS[2:]:
        await store.audiences.subscribe("topic/all", user, make=False)
    first, found, late = await asyncio.gather(
        store.audiences.take_back("p"),
        other.audiences.due_publication(clock.now() + LEASE),
        other.audiences.reach(after, users, complete=True),
        return_exceptions=True,
    )
    assert isinstance(first, Publication)
    assert isinstance(found, Publication | None)
    assert late is None or isinstance(late, tuple)
    assert await store.audiences.reach(after, [Subscriber(99, "late")], complete=True) is None
    assert await store.audiences.due_publication(clock.now() + LEASE) is None
    assert await store.audiences.publish(publication) == await kept(store)
    await take_back(store)
    assert [await count(store, user) for user in USERS] == [0] * len(USERS)
    shown = await kept(store)
    assert (shown.reached, shown.end_date, shown.taken_back) == (2, None if late is None else START, 2)


async def test_the_end_of_the_spreading_is_kept(store: Store, clock: FakeClock) -> None:
    await publish(store)
    clock.jump(60)
    await store.audiences.take_back("p")
    shown = await kept(store)
    assert (shown.end_date, shown.taken_back, shown.taken_back_date) == (START, 0, None)
    clock.jump(60)
    await take_back(store)
    shown = await kept(store)
    assert (shown.end_date, shown.taken_back, shown.taken_back_date) == (START, 6, clock.now())
    clock.jump(60)
    again = await store.audiences.take_back("p")
    assert again == shown, "safe to repeat"
    assert await store.audiences.due_taking_back(clock.now() + LEASE) is None
    assert await store.audiences.take_back("never") is None
    assert await store.audiences.take_back("a\0b") is None


@pytest.mark.usefixtures("without_deadlock")
async def test_of_two_nodes_with_one_step_one_takes_it(store: Store, other: Store) -> None:
    for number in range(4):
        await publish(store, note(f"p{number}"), id=f"p{number}")
        publication = await store.audiences.take_back(f"p{number}")
        assert publication is not None
        for limit in (4, 100):
            stretch = await store.audiences.holders(publication, limit=limit)
            steps = [s.audiences.take_from(publication, stretch) for s in (store, other) * 3]
            taken = [step for step in await asyncio.gather(*steps) if step is not None]
            assert [step.notifications for step in taken] == [4 if limit == 4 else 2]
            publication = await kept(store, f"p{number}")
        assert (publication.taken_back, publication.taken_back_date) == (6, START)


async def test_a_lease_keeps_others_away_until_it_ends(store: Store, other: Store, clock: FakeClock) -> None:
    for number in (1, 2):
        await publish(store, id=f"p{number}")
        await store.audiences.take_back(f"p{number}")
        clock.jump(1e-6)

    async def next_of(s: Store) -> str | None:
        found = await s.audiences.due_taking_back(clock.now() + LEASE)
        return None if found is None else found.publication_id

    assert [await next_of(s) for s in (store, other, store)] == ["p1", "p2", None]
    await store.audiences.rest("p2", lease=clock.now() + LEASE)
    assert await next_of(other) == "p2"
    await store.audiences.rest("p2", lease=clock.now())
    assert await next_of(other) is None
    clock.jump(LEASE / 1e6)
    assert {await next_of(s) for s in (store, other)} == {"p1", "p2"}, "their nodes have died"


async def test_a_look_is_bounded_whoever_holds_what(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users without anything are passed over, a bounded number at a time; each is looked at once."""
    monkeypatch.setattr("pns.adapters.stores.publications.LOOKS", 6)
    for number in range(9):
        await append(store, f"else {number}", "x")
    await publish(store, note("a"), note("b"))
    publication = await store.audiences.take_back("p")
    assert publication is not None
    stretches: list[Stretch] = []
    while not stretches or not stretches[-1].complete:
        publication = replace(publication, after=stretches[-1].end if stretches else 0)
        stretches.append(await store.audiences.holders(publication, limit=2))
    assert [len(stretch.users) for stretch in stretches] == [0, 0, 0, 2, 2, 2]
    assert [user.user_id for stretch in stretches for user in stretch.users] == USERS


async def test_who_is_erased_meanwhile_is_left_out(store: Store) -> None:
    await publish(store)
    publication = await store.audiences.take_back("p")
    assert publication is not None
    stretch = await store.audiences.holders(publication, limit=100)
    await store.erase(USERS[2])
    await append(store, USERS[2], "anew")
    assert await store.audiences.take_from(publication, stretch) == TakenBack(
        5, frozenset(USERS) - {USERS[2]}
    )
    assert await inbox(store, USERS[2]) == ["anew"]


async def test_it_is_kept_while_it_is_taken_back_and_for_its_days(store: Store, clock: FakeClock) -> None:
    """Then its id is free: nobody publishes it anew before."""
    await publish(store)
    clock.jump(100)
    await store.audiences.take_back("p")
    prune = store.audiences.prune_publications
    clock.jump(100)
    assert await prune(ended_before=clock.now(), limit=9) == 0
    await take_back(store)
    assert await prune(ended_before=clock.now(), limit=9) == 0
    assert await prune(ended_before=clock.now() + 1, limit=9) == 1


# ── the list ──────────────────────────────────────────────────────────────────────────────────────────


async def test_publications_are_listed_newest_first(store: Store, other: Store) -> None:
    for id, moment in (("b", 1), ("a", 1), ("c", 2), ("Z", 1), ("d", 0)):
        wanted = Publication(
            publication_id=id, audience="topic/t", notifications=(note(id, "é" * 100),), create_date=moment
        )
        await store.audiences.publish(wanted)
    every = ["c", "b", "a", "Z", "d"]

    async def page(before: Publication | None, *, limit: int = 9, max_bytes: int = PLENTY) -> list[str]:
        found = await other.audiences.publications(before, limit=limit, max_bytes=max_bytes)
        assert [await kept(store, each.publication_id) for each in found] == found
        return [each.publication_id for each in found]

    assert await page(None) == every
    assert [await page(await kept(store, id)) for id in every] == [every[n + 1 :] for n in range(5)]
    assert await page(None, limit=2) == every[:2]
    assert await page(None, max_bytes=1) == every[:1]
    assert await page(await kept(store, "c"), max_bytes=700) == every[1:3]
