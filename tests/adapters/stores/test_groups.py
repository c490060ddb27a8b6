"""Groups: notifications of one collapse key that stand in the inbox as one, and say how many they are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Appended, Store
from pns.errors import NotificationIdConflict
from pns.model.group import Group, GroupMember, LatestMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification, StoredNotification
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, count, cursor, named, submission
from .pushing import START, TERMS, accept, claim, phone, told

Raw = Callable[[str], list[str]]

TABLES = ("group_members", "group_ids", "ended_groups")


def like(id: str, member: str = "", data: str | None = None, *, key: str = "k") -> Notification:
    """A notification of a group; its member has the name of the id's first letter, if no other is said."""
    return Notification(
        f"data of {id}",
        notification_id=id,
        collapse_key=key,
        group=GroupMember(member or f"user:{id[0]}", data),
    )


def plain(id: str, *, key: str | None = "k") -> Notification:
    return Notification(f"data of {id}", notification_id=id, collapse_key=key)


async def items(store: Store, user_id: str = "ann") -> list[StoredNotification]:
    return list((await store.inbox(user_id, cursor())).items)


async def shown(store: Store, user_id: str = "ann") -> list[tuple[str, int, int, list[str]] | str]:
    """Id, times, members and latest members of each notification; of one without a group its id."""
    return [
        item.notification_id
        if item.group is None
        else (
            item.notification_id,
            item.group.times,
            item.group.members,
            [each.member[-1] for each in item.group.latest],
        )
        for item in await items(store, user_id)
    ]


async def group(store: Store) -> Group | None:
    (item,) = await items(store)
    return item.group


async def pruned(store: Store) -> None:
    """Let the store remove what is not needed, a few rows at a time."""
    while await store.prune(seen_before=None, limit=7):
        pass


def rows(raw: Raw) -> list[int]:
    return [int(raw(f"SELECT count(*) FROM {table}")[0]) for table in TABLES]


# ── growing ───────────────────────────────────────────────────────────────────────────────────────────


async def test_notifications_of_a_group_are_one_that_counts(store: Store) -> None:
    await append(store, "ann", like("a1", data="Ann"))
    assert await shown(store) == [("a1", 1, 1, ["a"])]
    for id in ("b1", "c1", "d1", "b2"):
        assert await append(store, "ann", like(id)) == Appended([id], 1, await store.states(["ann"]))
    assert await shown(store) == [("b2", 5, 4, ["b", "d", "c"])]
    (item,) = await items(store)
    assert (item.seq, item.notification_data, item.collapse_key) == (5, "data of b2", "k")
    assert await count(store, "ann") == 1


async def test_a_member_shows_its_newest_data_and_keeps_what_a_later_one_leaves_out(store: Store) -> None:
    await append(store, "ann", like("a1", data='{"name":"Ann"}'))
    await append(store, "ann", like("b1"))
    await append(store, "ann", like("a2"))
    found = await group(store)
    assert found is not None
    assert found.latest == [LatestMember("user:a", '{"name":"Ann"}'), LatestMember("user:b")]
    await append(store, "ann", like("a3", data="Anna"))
    await append(store, "ann", like("a4", data=""))
    found = await group(store)
    assert found is not None
    assert found.latest[0] == LatestMember("user:a", "")


@pytest.mark.parametrize("way", ["sent", "ids", "up to", "all", *MarkAs])
async def test_a_group_ends_when_it_is_seen(store: Store, way: str) -> None:
    """By whatever way: the next notification begins at 1, and what was seen keeps its group."""
    await append(store, "ann", like("a1"))
    await append(store, "ann", like("b1"))
    (item,) = await items(store)
    if way == "sent":
        await store.mark_sent_seen((await store.states(["ann"]))["ann"].user_key, [item.seq])
    elif way == "ids":
        await store.mark_seen("ann", ["b1"])
    elif way == "up to":
        await store.mark_seen_up_to("ann", "b1")
    elif way == "all":
        await store.mark_all_seen("ann")
    else:
        await store.mark("ann", Mark(MarkAs(way), ids=("b1",)))
    await append(store, "ann", like("c1"))
    if way in ("unread", "unarchived"):  # which make nothing seen
        assert await shown(store) == [("c1", 3, 3, ["c", "b", "a"])]
    else:
        assert await shown(store) == [("b1", 2, 2, ["b", "a"]), ("c1", 1, 1, ["c"])]


async def test_a_group_begins_and_ends_with_what_has_none(store: Store) -> None:
    await append(store, "ann", plain("x"))
    await append(store, "ann", like("a1"))
    assert await shown(store) == [("a1", 1, 1, ["a"])]
    await append(store, "ann", like("b1"))
    await append(store, "ann", plain("y"))
    assert await shown(store) == ["y"]
    await append(store, "ann", like("c1"))
    assert await shown(store) == [("c1", 1, 1, ["c"])]


async def test_groups_are_apart_by_user_and_by_key(store: Store) -> None:
    for id, key in (("a1", "k"), ("a2", "l"), ("b1", "l")):
        await append(store, "ann", like(id, key=key))
    await append(store, "bob", like("a1"))
    assert await shown(store) == [("a1", 1, 1, ["a"]), ("b1", 2, 2, ["b", "a"])]
    assert await shown(store, "bob") == [("a1", 1, 1, ["a"])]


async def test_an_expired_notification_passes_nothing_on(store: Store, clock: FakeClock) -> None:
    """Whether its expiry was removed already or not."""
    soon = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now() + 5_000_000)
    short = Notification("x", "a1", collapse_key="k", expire_date=soon, group=GroupMember("user:a"))
    await append(store, "ann", short)
    await append(store, "ann", like("b1", key="l"))
    clock.advance(6)
    await append(store, "ann", like("c1"))
    assert await shown(store) == [("b1", 1, 1, ["b"]), ("c1", 1, 1, ["c"])]
    assert await count(store, "ann") == 2


async def test_members_are_told_apart_up_to_a_thousand(store: Store) -> None:
    """Further ones raise `times` alone; those that are known go on."""
    for start in range(0, 1_000, 500):
        await append(store, "ann", *(like(f"n{n}", f"user:{n}") for n in range(start, start + 500)))
    found = await group(store)
    assert found == Group(1_000, 1_000, found.latest if found else [])
    await append(store, "ann", like("late", "user:late", "Late"))
    await append(store, "ann", like("later", "user:later"))
    await append(store, "ann", like("again", "user:5"))
    found = await group(store)
    assert found is not None
    assert (found.times, found.members, found.more) == (1_003, 1_000, True)
    assert [each.member for each in found.latest] == ["user:5", "user:999", "user:998"]
    assert await store.take_out("ann", "late", "user:late") is False
    assert await store.take_out("ann", "late", "user:5") is True
    await append(store, "ann", like("z", "user:z"))
    found = await group(store)
    assert found is not None
    assert (found.times, found.members, found.more) == (1_002, 1_000, True)


# ── several at once ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("together", ["in one request", "in one batch", "apart"])
async def test_several_at_once_are_as_one_after_the_other(store: Store, together: str) -> None:
    await append(store, "ann", like("a1"))
    wanted = [
        like("b1"),
        like("b2"),
        plain("x"),
        like("c1"),
        like("d1"),
        plain("other", key=None),
        like("c2"),
    ]
    if together == "in one request":
        await append(store, "ann", *wanted)
    elif together == "in one batch":
        await asyncio.gather(*(append(store, "ann", each) for each in wanted))
    else:
        for each in wanted:
            await append(store, "ann", each)
    assert await shown(store) == ["other", ("c2", 3, 2, ["c", "d"])]
    assert await count(store, "ann") == 2
    # What the ended group took in is forgotten, what this one did is known.
    for id, stored in (("c1", 0), ("d1", 0), ("c2", 0), ("a1", 1)):
        assert (await append(store, "ann", like(id))).created == stored
    assert await shown(store) == ["other", ("a1", 4, 3, ["a", "c", "d"])]


async def test_a_batch_that_ends_what_it_found_and_begins_anew(store: Store) -> None:
    await append(store, "ann", like("a1"), like("b1"))
    answers = await asyncio.gather(
        *(append(store, "ann", each) for each in (like("c1"), like("a1"), plain("x"), like("a1"), like("c1")))
    )
    assert [answer.created for answer in answers] == [1, 0, 1, 1, 1]
    assert await shown(store) == [("c1", 2, 2, ["c", "a"])]


# ── ids ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_id_that_a_group_took_in_is_known(store: Store) -> None:
    """Its data are compared, though they are kept no more."""
    await append(store, "ann", like("a1"), like("b1"))
    before = (await store.states(["ann"]))["ann"]
    for seen in (False, True):
        if seen:
            await store.mark_all_seen("ann")
            before = (await store.states(["ann"]))["ann"]
        assert await append(store, "ann", like("a1"), like("b1")) == Appended(["a1", "b1"], 0, {})
        for id in ("a1", "b1"):
            with pytest.raises(NotificationIdConflict):
                await append(store, "ann", Notification("other", notification_id=id))
        assert await shown(store) == [("b1", 2, 2, ["b", "a"])]
        assert (await store.states(["ann"]))["ann"] == before
    assert await append(store, "bob", Notification("other", notification_id="a1"))


async def test_ids_are_free_when_their_group_is_gone(store: Store, raw: Raw) -> None:
    await append(store, "ann", like("a1"), like("b1"))
    await store.withdraw("ann", "b1")
    assert (await append(store, "ann", Notification("other", notification_id="a1"))).created == 1
    await pruned(store)
    assert rows(raw) == [0, 0, 0]


async def test_the_newest_thousand_ids_are_known(store: Store) -> None:
    await append(store, "ann", *(like(f"n{n}", f"user:{n % 7}") for n in range(1_000)))
    assert (await append(store, "ann", like("n0", "user:0"))).created == 0
    await append(store, "ann", like("more", "user:x"))
    assert (await append(store, "ann", like("n1", "user:1"))).created == 0
    assert (await append(store, "ann", like("n0", "user:0"))).created == 1  # the oldest, forgotten
    found = await group(store)
    assert found is not None
    assert (found.times, found.members) == (1_002, 8)


async def test_a_request_that_is_repeated_after_a_crash_brings_nothing_back(store: Store) -> None:
    for wanted in ([like("a1"), plain("x")], [plain("x"), like("a1")], [like("a1"), plain("x"), like("b1")]):
        user = "".join(each.notification_id or "" for each in wanted)
        await append(store, user, *wanted)
        before = await shown(store, user)
        assert (await append(store, user, *wanted)).created == 0
        assert await shown(store, user) == before
    await append(store, "ann", like("a1"))
    assert (await append(store, "ann", like("b1"), like("a1"))).created == 1  # b1 is new indeed
    assert await shown(store) == [("b1", 2, 2, ["b", "a"])]


# ── shrinking ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["a1", "b1", "c1"])
@pytest.mark.parametrize("seen", [False, True])
async def test_a_member_is_taken_out_by_any_id(store: Store, by: str, seen: bool) -> None:
    for id in ("a1", "b1", "a2", "c1"):
        await append(store, "ann", like(id))
    if seen:
        await store.mark_all_seen("ann")
    before = (await store.states(["ann"]))["ann"]
    assert await store.take_out("ann", by, "user:a") is True
    assert await shown(store) == [("c1", 2, 2, ["c", "b"])]
    after = (await store.states(["ann"]))["ann"]
    assert (after.unseen, after.version) == (before.unseen, before.version + 1)
    for id, member in ((by, "user:a"), (by, "user:z"), ("never", "user:b"), ("a\0", "user:b")):
        assert await store.take_out("ann", id, member) is False
    assert await store.take_out("bob", by, "user:b") is False
    assert await shown(store) == [("c1", 2, 2, ["c", "b"])]


async def test_the_last_member_takes_the_notification_along(store: Store, raw: Raw) -> None:
    for seen in (False, True):
        await append(store, "ann", like("a1"), like("b1"), plain("x", key=None))
        if seen:
            await store.mark_all_seen("ann")
        assert await store.take_out("ann", "a1", "user:b")
        assert await store.take_out("ann", "b1", "user:a")
        assert await shown(store) == ["x"]
        assert await count(store, "ann") == (0 if seen else 1)
        await store.withdraw("ann", "x")
        assert await count(store, "ann") == 0
    await pruned(store)
    assert rows(raw) == [0, 0, 0]


async def test_who_was_taken_out_may_come_again_and_a_repeat_brings_nobody_back(store: Store) -> None:
    await append(store, "ann", like("a1"), like("b1", data="Bob"))
    await store.take_out("ann", "b1", "user:b")
    assert (await append(store, "ann", like("b1", data="Bob"))).created == 0
    assert await shown(store) == [("b1", 1, 1, ["a"])]
    await append(store, "ann", like("b2", data="Bob"))
    assert await shown(store) == [("b2", 2, 2, ["b", "a"])]


async def test_the_newest_that_are_left_are_shown(store: Store) -> None:
    """The data of the newest ten are kept; of older ones that come up only who they are."""
    await append(store, "ann", *(like(f"n{n}", f"user:{n:02}", f"data {n}") for n in range(14)))
    for n in range(13, 3, -1):
        await store.take_out("ann", "n0", f"user:{n:02}")
    found = await group(store)
    assert found is not None
    assert [(each.member, each.data == f"data {each.member[-1]}") for each in found.latest] == [
        ("user:03", False),
        ("user:02", False),
        ("user:01", False),
    ]
    await append(store, "ann", like("o", "user:00", "back"))
    found = await group(store)
    assert found is not None
    assert [each.member for each in found.latest] == ["user:00", "user:03", "user:02"]


async def test_a_replaced_id_withdraws_nothing(store: Store) -> None:
    await append(store, "ann", like("a1"), like("b1"))
    assert await store.withdraw("ann", "a1") is False
    assert await shown(store) == [("b1", 2, 2, ["b", "a"])]
    assert await store.withdraw("ann", "b1") is True
    assert await items(store) == []


async def test_one_without_a_group_has_no_members(store: Store) -> None:
    await named(store, "ann", "a")
    assert await store.take_out("ann", "a", "a") is False
    assert await shown(store) == ["a"]


# ── everything goes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["withdrawn", "expired", "pruned", "erased", "replaced"])
async def test_with_the_notification_all_of_its_group_goes(
    store: Store, raw: Raw, clock: FakeClock, way: str
) -> None:
    soon = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now() + 5_000_000)
    for n in range(30):
        group = GroupMember(f"user:{n}", "x")
        expire = soon if way == "expired" else None
        await append(
            store, "ann", Notification("x", f"n{n}", collapse_key="k", expire_date=expire, group=group)
        )
    await append(store, "bob", like("b1"), like("b2"))
    assert rows(raw) == [31, 32, 0]
    if way == "withdrawn":
        await store.withdraw("ann", "n29")
    elif way == "replaced":
        await append(store, "ann", plain("x"))
    elif way == "erased":
        await store.erase("ann")
        assert rows(raw) == [1, 2, 0]
    elif way == "expired":
        clock.advance(6)
        await store.expire(10)
    else:
        await store.mark_all_seen("ann")
        clock.advance(1)
        assert await store.prune(seen_before=clock.now(), limit=10) <= 10
    await pruned(store)
    assert rows(raw) == [1, 2, 0]
    assert await shown(store, "bob") == [("b2", 2, 1, ["b"])]


async def test_what_an_older_release_removes_ends_its_group_too(store: Store, raw: Raw) -> None:
    """It replaces, withdraws, prunes and erases rows, and knows no group."""
    for user in ("ann", "bob", "eve"):
        await append(store, user, like("a1"), like("b1"))
    ann, bob = (f"(SELECT user_key FROM users WHERE user_id = '{user}')" for user in ("ann", "bob"))
    raw(f"DELETE FROM notifications WHERE notification_id = 'b1' AND user_key = {ann}")
    raw(
        "INSERT INTO notifications (user_key, seq, notification_id, data, create_date, collapse_key)"
        f" VALUES ({ann}, 9, 'theirs', 'x', 1, 'k'); UPDATE users SET last_seq = 9 WHERE user_key = {ann}"
    )
    raw(f"DELETE FROM notifications WHERE user_key = {bob}; DELETE FROM users WHERE user_key = {bob}")
    assert (await append(store, "ann", Notification("new data", notification_id="a1"))).created == 1
    await append(store, "ann", like("c1"))
    assert await shown(store) == ["a1", ("c1", 1, 1, ["c"])]
    assert await store.take_out("ann", "b1", "user:a") is False
    await pruned(store)
    assert rows(raw) == [3, 3, 0]
    assert await shown(store, "eve") == [("b1", 2, 2, ["b", "a"])]


async def test_a_push_is_of_the_newest_and_those_before_are_dismissed(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    for id in ("a1", "b1"):
        await store.append([submission("ann", like(id))], TERMS)
        await accept(store, clock)
    assert await store.outbox.dismiss("ann", START + 9) == 1
    await store.append([submission("ann", like("c1"))], TERMS)
    await store.append([submission("ann", like("d1"))], TERMS)
    assert [found for found in told(await claim(store, clock)) if found[1]] == [("phone", "d1")]


# ── at the same time ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("without_deadlock")
async def test_64_writers_on_one_group_that_is_seen_at_random_lose_nothing(
    store: Store, other: Store
) -> None:
    """The times of all groups are the notifies; what is unseen stands once."""
    chance = random.Random(7)

    async def write(writer: int, serial: int) -> None:
        wanted = like(f"{writer}-{serial}", f"user:{writer % 9}")
        await append(chance.choice([store, other]), "ann", wanted)
        if writer % 2:
            assert (await append(chance.choice([store, other]), "ann", wanted)).created == 0

    async def see() -> None:
        """What is marked may be replaced already, and then stays unseen."""
        for _ in range(3):
            node = chance.choice([store, other])
            page = await node.unseen("ann", limit=1, max_bytes=PLENTY)
            await node.mark_sent_seen(page.user_key, [item.seq for item in page.items])

    async with asyncio.timeout(120):
        for serial in range(4):
            await asyncio.gather(*(write(writer, serial) for writer in range(64)), see())
            await chance.choice([store, other]).mark_seen("ann", [(await items(store))[-1].notification_id])
    found = await items(store)
    groups = [item.group for item in found if item.group is not None]
    assert len(groups) == len(found) > 1
    assert sum(one.times for one in groups) == 64 * 4
    assert all(1 <= one.members <= min(9, one.times) for one in groups)
    assert sum(item.seen_date is None for item in found) == await count(store, "ann") <= 1


@pytest.mark.usefixtures("without_deadlock")
async def test_members_that_come_and_go_at_once_are_counted(store: Store, other: Store, raw: Raw) -> None:
    """A group's numbers are those of its members, whatever comes between."""
    chance = random.Random(8)

    async def act(actor: int) -> None:
        for serial in range(12):
            node, key = chance.choice([store, other]), chance.choice("kl")
            id, member = f"{actor}-{serial}", f"user:{chance.randrange(6)}"
            match chance.randrange(8):
                case 0:
                    await node.take_out("ann", f"{actor}-{serial - 1}", member)
                case 1:
                    await node.mark("ann", Mark(MarkAs.READ, collapse_key=key))
                case 2:
                    await append(node, "ann", plain(id, key=key))
                case 3:
                    await node.withdraw("ann", f"{actor}-{serial - 1}")
                case _:
                    await append(node, "ann", like(id, member, key=key))

    async with asyncio.timeout(120):
        await asyncio.gather(*(act(actor) for actor in range(16)))
    assert any(item.group for item in await items(store))
    for item in await items(store):
        if item.group is not None:
            where = f"group_key IN (SELECT group_key FROM notifications WHERE seq = {item.seq})"
            (sums,) = raw(f"SELECT count(*), sum(times) FROM group_members WHERE {where}")
            assert sums == f"{item.group.members}|{item.group.times}"
    await pruned(store)
    live = "SELECT count(*) FROM {} WHERE group_key NOT IN (SELECT group_key FROM notifications"
    live += " WHERE group_key IS NOT NULL)"
    assert [raw(live.format(table)) for table in TABLES] == [["0"]] * 3
    unseen = sum(item.seen_date is None for item in await items(store))
    assert await count(store, "ann") == unseen
