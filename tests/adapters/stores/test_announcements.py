"""Announcements on either engine: one row, and every inbox is level before it matters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import pytest

from pns.contracts.announcements import CaughtUp
from pns.contracts.audiences import Publication
from pns.contracts.later import WaitingCursor
from pns.contracts.store import CountsOf, Store, Visitor
from pns.errors import NotificationIdConflict, UnknownNotification
from pns.model.group import GroupMember
from pns.model.mark import Mark, MarkAs
from pns.model.notification import Notification
from pns.model.timestamp import DAY, moment_of
from pns.testing.clock import FakeClock

from .announcing import OLDER, Raw, announce, connect, kept, rows
from .conftest import append, count, cursor, inbox, named, submission, unseen
from .pushing import HOUR, LEASE, START, TERMS, claim, phone, told
from .test_preferences import choose, declare

Work = Callable[[Store], Awaitable[object]]


async def know(store: Store, *users: str) -> None:
    for user in users:
        await append(store, user, Notification("old", notification_id="old"))


async def test_one_row_is_for_everybody_who_is_known_then(store: Store, other: Store, raw: Raw) -> None:
    await know(store, "ann", "bob", "gone")
    before = raw("SELECT count(*) FROM notifications")
    publication = await announce(store, "all")
    assert publication.announcement is not None
    assert publication.end_date is None
    await store.erase("gone")
    await know(store, "late", "gone")
    assert raw("SELECT count(*) FROM announcements") == ["1"]
    assert [rows(raw, user) for user in ("ann", "bob")] == [["old"], ["old"]]
    assert int(raw("SELECT count(*) FROM notifications")[0]) == int(before[0]) + 1
    assert [await count(other, user) for user in ("ann", "bob", "late", "gone", "nobody")] == [2, 2, 1, 1, 0]
    assert await inbox(store, "bob") == ["old", "all"]
    assert (await kept(store)).reached == 2


async def test_a_new_user_begins_behind_the_newest(store: Store, clock: FakeClock, raw: Raw) -> None:
    """However the store comes to know the user. Nothing is written when the new inbox is read."""
    await announce(store, "all")
    await append(store, "notified", "x")
    await store.outbox.register(phone("installed"))
    await store.audiences.subscribe("topic/t", "subscribed", make=True)
    await store.renew_lease("node", clock.now() + DAY, [], visitors=[Visitor("connected", 0)])
    users = ["notified", "installed", "subscribed", "connected"]
    assert {user: state.unseen for user, state in (await store.states(users)).items()} == {
        "notified": 1,
        "installed": 0,
        "subscribed": 0,
        "connected": 0,
    }
    assert await inbox(store, "connected") == []
    await announce(store, "second", id="q")
    assert [await inbox(store, user) for user in users[1:]] == [["second"]] * 3


READS: dict[str, Work] = {
    "states": lambda store: store.states(["ann", "bob"]),
    "counts": lambda store: store.counts([CountsOf("ann"), CountsOf("bob", ("c",))]),
    "unseen": lambda store: unseen(store, "ann"),
    "seen": lambda store: store.seen("ann", cursor()),
    "inbox": lambda store: inbox(store, "ann"),
    "timeline": lambda store: store.timeline.user_key("ann"),
}


@pytest.mark.parametrize("read", READS)
async def test_whatever_reads_an_inbox_finds_it_level(store: Store, raw: Raw, read: str) -> None:
    await know(store, "ann", "bob")
    await announce(store, "all")
    await READS[read](store)
    assert rows(raw) == ["old", "all"]
    assert (await store.states(["ann"]))["ann"].unseen == 2


CHANGES: dict[str, tuple[Work, int, list[str]]] = {
    "its id, seen": (lambda store: store.mark_seen("ann", ["all"]), 1, ["old", "all"]),
    "up to it, seen": (lambda store: store.mark_seen_up_to("ann", "all"), 0, ["old", "all"]),
    "all seen": (lambda store: store.mark_all_seen("ann"), 0, ["old", "all"]),
    "its id, read": (lambda store: store.mark("ann", Mark(MarkAs.READ, ids=("all",))), 1, ["old", "all"]),
    "all archived": (lambda store: store.mark("ann", Mark(MarkAs.ARCHIVED)), 0, ["old", "all"]),
    "of its key, seen": (
        lambda store: store.mark("ann", Mark(MarkAs.SEEN, collapse_key="k")),
        1,
        ["old", "all"],
    ),
    "withdrawn": (lambda store: store.withdraw("ann", "all"), 1, ["old"]),
    "replaced": (
        lambda store: append(store, "ann", Notification("n", notification_id="n", collapse_key="k")),
        2,
        ["old", "n"],
    ),
    "repeated": (
        lambda store: append(store, "ann", Notification("all", notification_id="all")),
        2,
        ["old", "all"],
    ),
    "snoozed": (lambda store: store.later.snooze("ann", "all", 2**60), 1, ["old"]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_depends_on_the_rows_of_an_inbox_finds_them(
    store: Store, raw: Raw, change: str
) -> None:
    await know(store, "ann")
    await announce(store, Notification("all", notification_id="all", collapse_key="k"))
    work, left, ids = CHANGES[change]
    await work(store)
    assert rows(raw) == ids
    assert await count(store, "ann") == left


async def test_a_member_of_its_group_is_taken_out(store: Store) -> None:
    grouped = [
        Notification(
            f"like {name}", notification_id=f"l{name}", collapse_key="k", group=GroupMember(member=name)
        )
        for name in ("x", "y")
    ]
    await append(store, "ann", grouped[0])
    await announce(store, grouped[1])
    assert await store.take_out("ann", "ly", "y")
    assert not await store.take_out("ann", "ly", "y")
    assert await inbox(store, "ann") == ["like y"], "the notification stays with the other member"


async def test_an_id_of_it_with_other_data_is_a_conflict_of_that_request_alone(store: Store) -> None:
    await know(store, "ann", "bob")
    await announce(store, "all")
    outcomes = await asyncio.gather(
        append(store, "bob", Notification("mine", notification_id="mine")),
        append(store, "ann", Notification("else", notification_id="all")),
        append(store, "ann", "plain"),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Appended",
        "NotificationIdConflict",
        "Appended",
    ]
    assert isinstance(outcomes[1], NotificationIdConflict)
    assert sorted(await inbox(store, "ann")) == ["all", "old", "plain"]
    assert await inbox(store, "bob") == ["old", "all", "mine"]


async def test_adding_alone_catches_up_on_nothing(store: Store, raw: Raw) -> None:
    await know(store, "ann")
    await announce(store, "all")
    await append(store, "ann", "plain")
    assert len(rows(raw)) == 2
    assert await inbox(store, "ann") == ["old", "plain", "all"], "the place is that of the catching up"


async def test_what_waits_and_what_a_topic_brings_find_the_inbox_level(
    store: Store, clock: FakeClock, raw: Raw
) -> None:
    later = Notification(
        "later",
        notification_id="later",
        collapse_key="k",
        deliver_date=moment_of(clock.now() + HOUR),
    )
    await append(store, "ann", later)
    await store.audiences.subscribe("topic/t", "bob", make=True)
    await announce(store, Notification("all", notification_id="all", collapse_key="k"))
    clock.jump(3601)
    await store.later.deliver(limit=10, max_bytes=10**6)
    assert rows(raw) == ["later"]
    wanted = Publication(
        publication_id="t",
        audience="topic/t",
        notifications=(Notification("news", notification_id="news", collapse_key="k"),),
        create_date=2,
    )
    users = await store.audiences.subscribers("topic/t", after=0, limit=9)
    step = await store.audiences.reach(await store.audiences.publish(wanted), users, complete=True)
    assert step is not None
    assert rows(raw, "bob") == ["news"]
    assert [await count(store, user) for user in ("ann", "bob")] == [1, 1]
    assert (await kept(store, "t")).reached == 1
    assert (await store.later.page("ann", WaitingCursor(limit=9, max_bytes=99))).items == ()


async def test_it_comes_like_one_that_comes_in_then(store: Store, clock: FakeClock) -> None:
    """With its own date, the preferences and devices of now, and without what has expired."""
    soon = moment_of(clock.now() + HOUR)
    await know(store, "ann", "bob", "cat")
    await declare(store, "c")
    published = clock.now()
    some = [
        Notification("soon over", notification_id="s", expire_date=soon),
        Notification("of c", notification_id="c", category="c"),
        Notification("all", notification_id="a"),
    ]
    await announce(store, *some, at=published)
    await choose(store, "bob", "c", inbox=False)
    await store.outbox.register(phone("ann"))
    assert await inbox(store, "cat") == ["old", "soon over", "of c", "all"]
    clock.jump(3600)
    tellings: list[CaughtUp | None] = []
    store.announcements.begin(terms=TERMS, told=lambda users, done: tellings.append(done))
    assert await inbox(store, "ann") == ["old", "of c", "all"]
    assert await inbox(store, "bob") == ["old", "all"]
    page = await store.inbox("ann", cursor())
    assert [item.create_date for item in page.items[1:]] == [published] * 2
    assert told(await claim(store, clock)) == [("phone", "a"), ("phone", "c")]
    changed = [
        (done.created, {user: state.unseen for user, state in done.changed.items()})
        for done in tellings
        if done
    ]
    assert changed == [(2, {"ann": 3}), (1, {"bob": 2})]


async def test_several_come_in_their_order_a_bounded_number_in_a_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.stores.announcements.HEADS", 3)
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"pns.adapters.stores.{engine}.announcements.HEADS", 3)
    users = [f"user {number}" for number in range(5)]
    await know(store, *users)
    for number in range(7):
        many = [f"{number}.{place}" for place in range(40)]
        await announce(store, *many, id=f"p{number}")
    commits: list[int] = []
    store.announcements.begin(
        terms=None, told=lambda users, done: commits.append(done.created if done is not None else 0)
    )
    expected = ["old", *(f"{number}.{place}" for number in range(7) for place in range(40))]
    assert await inbox(store, users[0]) == expected
    assert {state.unseen for state in (await store.states(users)).values()} == {281}
    assert max(commits) <= 200
    assert max(commits[:3]) <= 100, "for one user"
    assert sum(commits) == 5 * 280
    await announce(store, *(f"large.{place}" for place in range(1000)), id="large")
    assert await count(store, users[1]) == 1281
    assert (await kept(store, "p3")).reached == 5


async def test_a_notify_waits_for_a_few_of_many_who_catch_up(store: Store) -> None:
    users = [f"user {number}" for number in range(100)]
    await know(store, *users)
    await announce(store, "news")
    commits: list[int] = []
    begun = asyncio.Event()

    def told(user_ids: Collection[str], done: CaughtUp | None) -> None:
        commits.append(len(user_ids))
        begun.set()

    store.announcements.begin(terms=None, told=told)
    catching_up = asyncio.create_task(store.announcements.catch_up(users))
    await begun.wait()
    await append(store, "ann", "beside")
    assert len(commits) < 4
    await catching_up
    assert commits == [25] * 4
    assert {state.unseen for state in (await store.states(users)).values()} == {2}


async def test_taken_back_it_is_nobodys(store: Store, other: Store, raw: Raw) -> None:
    await know(store, "ann", "bob", "cat")
    await announce(store, "all")
    await announce(store, "else", id="q")
    assert await count(store, "ann") == 3
    assert await store.mark_seen("cat", ["all"]) == 1
    taken = await other.audiences.take_back("p")
    assert taken is not None
    assert taken.reached == 2
    assert await inbox(store, "bob") == ["old", "else"]
    held = await store.audiences.holders(taken, limit=9)
    assert [user.user_id for user in held.users] == ["ann"]
    assert await store.audiences.take_from(taken, held) is not None
    assert await inbox(store, "ann") == ["old", "else"]
    assert await inbox(store, "cat") == ["old", "all", "else"], "what was seen stays"
    assert [await count(store, user) for user in ("ann", "bob", "cat")] == [2, 2, 2]
    done = await kept(store)
    assert (done.reached, done.taken_back, done.end_date) == (2, 1, None)
    assert await store.announcements.due(START + LEASE) is not None, "the other one goes on"
    assert raw("SELECT count(*) FROM announcements") == ["1"]


async def test_a_repeat_is_what_is_kept(store: Store, other: Store) -> None:
    await know(store, "ann")
    first = await announce(store, "all")
    assert await announce(other, "all") == first
    assert await announce(store, "different") == first
    assert await count(store, "ann") == 2
    topic = Publication(publication_id="t", audience="topic/t", notifications=(), create_date=1)
    await store.audiences.publish(topic)
    assert (await announce(store, "x", id="t")).audience == "topic/t"


async def test_days_are_judged_by_the_connection_before_it(store: Store, clock: FakeClock) -> None:
    async def connected(*users: str) -> None:
        visitors = [Visitor(user, 0) for user in users]
        await store.renew_lease("n", clock.now() + HOUR, [], visitors=visitors)

    await connected("away", "lately", "often")
    clock.jump(100 * DAY / 1e6)
    await connected("lately", "often")
    clock.jump(3 * DAY / 1e6)
    await announce(store, "all", days=90, at=clock.now())
    clock.jump(1)
    for _ in range(3):  # two more days would hide the connection before it
        await connected("away", "often")
        clock.jump(DAY / 1e6)
    assert [await inbox(store, user) for user in ("away", "lately", "often")] == [[], ["all"], ["all"]]
    assert (await kept(store)).reached == 2


# ── those who should not wait ─────────────────────────────────────────────────────────────────────────


async def reach_all(store: Store, clock: FakeClock, id: str = "p") -> list[list[str]]:
    """Take its steps, as the spreader does; returns the users of each."""
    publication = await store.announcements.due(clock.now() + LEASE)
    assert publication is not None
    assert publication.publication_id == id
    steps = []
    while (publication := await kept(store, id)).end_date is None:
        stretch = await store.announcements.next_users(publication, limit=2)
        users = [user.user_id for user in stretch.users]
        await store.announcements.catch_up(users)
        assert await store.announcements.advance(publication, stretch)
        steps.append(users)
    return [step for step in steps if step]


async def test_connected_users_come_first_then_those_with_devices_and_nobody_else(
    store: Store, clock: FakeClock, raw: Raw
) -> None:
    users = [f"user {number}" for number in range(8)]
    await know(store, *users)
    for number in (1, 6, 7):
        await store.outbox.register(phone(users[number], f"phone {number}"))
    await connect(store, clock, users[7], users[3], node="a")
    await connect(store, clock, users[5], node="b")
    raw(f"UPDATE nodes SET lease_until = {clock.now()} WHERE node_id = 'b'")  # it died
    await announce(store, "all", at=clock.now())
    steps = await reach_all(store, clock)
    assert sorted(steps[0]) == [users[3], users[7]]
    assert steps[1:] == [[users[1], users[6]]]
    assert [rows(raw, user) == ["old", "all"] for user in users] == [n in (1, 3, 6, 7) for n in range(8)]
    done = await kept(store)
    assert (done.reached, done.end_date) == (4, clock.now())
    assert await store.announcements.due(clock.now() + 2 * LEASE) is None
    assert await count(store, users[0]) == 2
    assert (await kept(store)).reached == 5


async def test_whoever_connects_while_it_spreads_is_not_missed(store: Store, clock: FakeClock) -> None:
    """The first count is read after the announcement, whatever any list of connections says."""
    await know(store, "ann")
    await announce(store, "all", at=clock.now())
    assert await reach_all(store, clock) == []
    assert (await store.states(["ann"]))["ann"].unseen == 2


# ── beside code that knows no announcements ───────────────────────────────────────────────────────────


async def test_beside_an_older_node_it_is_spread_to_each(store: Store, clock: FakeClock, raw: Raw) -> None:
    await know(store, "ann")
    raw(OLDER.format(clock.now() + LEASE))
    assert await store.announcements.beside_older()
    first = await announce(store, "first", id="1")
    assert first.announcement is None
    clock.jump(LEASE / 1e6)
    assert not await store.announcements.beside_older()
    second = await announce(store, "second", id="2", at=START + 2)
    assert second.announcement is None, "no later one may come before it"
    for id in ("1", "2"):
        leased = await store.audiences.due_publication(clock.now() + LEASE)
        assert leased is not None
        assert leased.publication_id == id
        users = await store.audiences.subscribers(leased.audience, after=0, limit=9)
        assert await store.audiences.reach(leased, users, complete=True) is not None
    third = await announce(store, "third", id="3", at=START + 3)
    assert third.announcement is not None
    assert await inbox(store, "ann") == ["old", "first", "second", "third"]


async def test_inboxes_that_an_older_node_may_read_are_found(
    store: Store, clock: FakeClock, raw: Raw
) -> None:
    users = [f"user {number}" for number in range(5)]
    await know(store, *users)
    await announce(store, "all")
    assert await count(store, users[2]) == 2
    await connect(store, clock, users[2], users[4])
    assert [user.user_id for user in (await store.announcements.connected_behind(9)).users] == [users[4]]
    found, after = [], 0
    while True:
        stretch = await store.announcements.behind(after, limit=2)
        found += [user.user_id for user in stretch.users]
        await store.announcements.catch_up([user.user_id for user in stretch.users])
        after = stretch.end
        if stretch.complete:
            break
    assert found == [user for user in users if user != users[2]]
    assert [rows(raw, user) for user in users] == [["old", "all"]] * 5
    assert not (await store.announcements.connected_behind(9)).users


# ── kept, and races ───────────────────────────────────────────────────────────────────────────────────


async def test_it_is_kept_until_nobody_may_catch_up(store: Store, clock: FakeClock, raw: Raw) -> None:
    await know(store, "ann", "bob", "cat")
    hour = moment_of(clock.now() + HOUR)
    both = [Notification("b", notification_id="b"), Notification("h", notification_id="h", expire_date=hour)]
    await announce(store, *both, id="both", at=clock.now())
    await announce(store, both[1], id="hour", at=clock.now())
    assert await count(store, "ann") == 3
    clock.jump(3600)
    assert await store.announcements.prune(9) == 1
    assert await inbox(store, "bob") == ["old", "b"]
    clock.jump(400 * DAY / 1e6 - 3600)
    assert await inbox(store, "cat") == ["old"], "too late, pruned or not"
    assert await store.announcements.prune(9) == 1
    assert await store.announcements.newest() == 0
    newest = await announce(store, "new", id="n", at=clock.now())
    assert newest.announcement is not None
    assert newest.announcement > 2, "a number is never given twice"
    assert await inbox(store, "ann") == ["old", "b", "new"]
    assert raw("SELECT count(*) FROM announcements") == ["1"]


async def test_two_nodes_catch_up_the_same_users_at_once(store: Store, other: Store) -> None:
    """While announcements come from both, and are taken back: each once, in one order, counted exactly."""
    users = [f"user {number}" for number in range(4)]
    await know(store, *users)

    async def publish(node: Store, number: int) -> None:
        await announce(node, f"n{number}", id=f"p{number}")
        if number % 5 == 4:
            await node.audiences.take_back(f"p{number}")

    async def look(node: Store) -> None:
        for _ in range(6):
            await node.states(users)
            await append(node, users[0], Notification("k", collapse_key="k"))

    await asyncio.gather(
        *(publish((store, other)[number % 2], number) for number in range(12)), look(store), look(other)
    )
    inboxes = [await inbox(store, user) for user in users]
    taken = {"n4", "n9"}
    for box in inboxes:
        assert set(box) - taken - {"k"} == {"old", *(f"n{n}" for n in range(12))} - taken
        assert len(set(box)) == len(box)
    assert inboxes[1] == inboxes[2] == inboxes[3] or any(taken & set(box) for box in inboxes)
    for node in (store, other):
        assert [state.unseen for state in (await node.states(users)).values()] == [*map(len, inboxes)]
    assert {(await kept(store, f"p{n}")).reached for n in range(12) if n not in (4, 9)} == {4}


async def test_an_unknown_id_is_still_unknown(store: Store) -> None:
    await know(store, "ann")
    await announce(store, "all")
    with pytest.raises(UnknownNotification):
        await store.mark_seen_up_to("ann", "never")
    await named(store, "ann", "own")
    assert await inbox(store, "ann") == ["old", "all", "own"]
    assert (await store.append([submission("bob", "x")])).created == 1
