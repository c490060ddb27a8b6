"""A step stores the same rows for most of its users at once; a user with a say is looked at alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pytest

from pns.adapters.stores.copies import Parted, part
from pns.adapters.stores.postgres import spreading as postgres_spreading
from pns.adapters.stores.sqlite import spreading as sqlite_spreading
from pns.contracts.audiences import Publication, Subscriber
from pns.contracts.store import Store, Submission
from pns.errors import NotificationIdConflict
from pns.model.category import Category, Channels
from pns.model.group import GroupMember
from pns.model.notification import Notification
from pns.model.push import Cause, PushSchedule

from .announcing import announce
from .pushing import HOUR, START, TERMS, phone

Raw = Callable[[str], list[str]]

TOPIC = "topic/all"
LATER = datetime.fromtimestamp((START + HOUR) / 1e6, UTC)
SEVERAL = (
    Notification("p", notification_id="p", category="c", collapse_key="k"),
    Notification("q", notification_id="q"),
    Notification("r", notification_id="r", category="c", expire_date=LATER),
)
OTHERS = {
    "a note": [Notification("x", category="c"), Notification("y", notification_id="o")],
    "seen": [Notification("x", notification_id="mine", collapse_key="k")],
    "a phone": [Notification("x")],
    "no push": [Notification("x")],
    "another key": [Notification("x", collapse_key="l")],
}
"""Without a say."""
SAY = {
    "the id": [Notification("q", notification_id="q")],
    "other data": [Notification("else", notification_id="q")],
    "the key": [Notification("x", collapse_key="k")],
    "a group": [Notification("x", collapse_key="k", group=GroupMember("m"))],
    "in a group": [
        Notification("q", notification_id="q", collapse_key="g", group=GroupMember("m")),
        Notification("x", collapse_key="g", group=GroupMember("n")),
    ],
    "waits": [Notification("q", notification_id="q", deliver_date=LATER)],
    "no inbox": [Notification("x")],
    "both": [Notification("x", collapse_key="k"), Notification("q", notification_id="q")],
}
TABLES = (
    "SELECT u.user_id, u.last_seq, u.unseen, u.version, u.seen_unread, u.other_changes FROM users u",
    "SELECT u.user_id, n.seq, n.notification_id, n.data, n.create_date, n.seen_date, n.category,"
    " n.collapse_key, n.expire_date, n.push FROM users u JOIN notifications n ON n.user_key = u.user_key"
    " WHERE n.notification_id IN ('o', 'p', 'q', 'r', 'mine') ORDER BY u.user_id, n.seq",
    "SELECT u.user_id, c.category, c.unseen, c.unread FROM users u"
    " JOIN category_counts c ON c.user_key = u.user_key ORDER BY u.user_id, c.category",
    "SELECT u.user_id, p.seq, p.notification_id, p.due_at, p.expires_at, p.state, p.network"
    " FROM users u JOIN pushes p ON p.user_key = u.user_key WHERE p.notification_id IN ('p', 'q', 'r')"
    " ORDER BY u.user_id, p.seq, p.device_id",
)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Parted]:
    """The parts of every step, in order."""
    found: list[Parted] = []

    def kept(*args: Any) -> Parted:
        found.append(part(*args))
        return found[-1]

    for module in (sqlite_spreading, postgres_spreading):
        monkeypatch.setattr(module, "part", kept)
    return found


async def declare(store: Store) -> None:
    await store.categories.declare(Category("c", "C", "", Channels(), frozenset()))


async def fill(store: Store, user: str, kind: str) -> None:
    for notification in {**OTHERS, **SAY}.get(kind, ()):
        await store.append([Submission(user, (notification,))])
    if kind == "seen":
        await store.mark_seen(user, ["mine"])
    if kind in ("a phone", "no push", "no inbox", "the key"):
        await store.outbox.register(phone(user, f"{user} 1"))
        await store.outbox.register(phone(user, f"{user} 2"))
    if kind == "no push":
        await store.categories.choose(user, {"c": Channels(push=False)})
    if kind == "no inbox":
        await store.categories.choose(user, {"c": Channels(inbox=False)})


async def subscribers(store: Store, *users: str) -> list[Subscriber]:
    for user in users:
        await store.audiences.subscribe(TOPIC, user, make=True)
    return [*await store.audiences.subscribers(TOPIC, after=0, limit=1000)]


async def publish(store: Store, id: str, *notifications: Notification) -> Publication:
    return await store.audiences.publish(
        Publication(publication_id=id, audience=TOPIC, notifications=notifications, create_date=START)
    )


@pytest.mark.parametrize("terms", [None, TERMS])
async def test_each_has_what_an_append_would_have_stored(
    store: Store, raw: Raw, parts: list[Parted], terms: PushSchedule | None
) -> None:
    kinds = ["nothing", *OTHERS, *SAY]
    await declare(store)
    for kind in kinds:
        for side in ("one", "all"):
            await fill(store, f"{side} {kind}", kind)
    users = await subscribers(store, *(f"all {kind}" for kind in kinds))
    changed = set()
    for kind in kinds:
        mine = SEVERAL if kind != "other data" else (SEVERAL[0], SEVERAL[2])
        appended = await store.append([Submission(f"one {kind}", mine, Cause())], terms)
        changed |= {user.replace("one ", "all ") for user in appended.changed}
    reached = await store.audiences.reach(
        await publish(store, "several", *SEVERAL), users, complete=True, terms=terms
    )
    assert reached is not None
    assert reached.changed == changed
    ((_, alike, alone, _, _),) = parts
    assert {user.user_id for user in alike} == {f"all {kind}" for kind in ("nothing", *OTHERS)}
    assert {user.user_id for user in alone} == {f"all {kind}" for kind in SAY}
    for query in TABLES:
        rows = sorted(raw(query))
        sides = [[row.removeprefix(side) for row in rows if row.startswith(side)] for side in ("one", "all")]
        assert sides[0] == sides[1], query
    assert reached.created == sum(
        row.split("|")[2] in ("p", "q", "r") and row.startswith("all") for row in raw(TABLES[1])
    ) - len(["the id", "other data", "both"])


@pytest.mark.parametrize("say", ["nothing", "erased", "the id", "other data", "in a group", "waits", "all"])
@pytest.mark.parametrize("terms", [None, TERMS])
async def test_copies_with_nothing_but_ids(
    store: Store, raw: Raw, parts: list[Parted], terms: PushSchedule | None, say: str
) -> None:
    """Whoever has one of the ids is found, and nobody else is stored twice, or counted twice."""
    plain = (Notification("p", notification_id="p"), Notification("q", notification_id="q"))
    alone = ["the id", "other data", "in a group", "waits"] if say == "all" else [say]
    kinds = ["a note", "a phone", *alone, "seen"]
    for kind in kinds:
        for side in ("one", "all"):
            await fill(store, f"{side} {kind}", kind)
    users = await subscribers(store, *(f"all {kind}" for kind in kinds))
    for kind in kinds:
        await store.append([Submission(f"one {kind}", plain[: 1 + (kind != "other data")], Cause())], terms)
    for side in ("one", "all"):
        await store.erase(f"{side} erased")
    kept = await publish(store, "plain", *plain)
    reached = await store.audiences.reach(kept, users, complete=True, terms=terms)
    assert reached is not None
    assert (reached.users, reached.complete) == (len(users), True)
    assert {user.user_id for user in parts[-1].alone} == {
        f"all {kind}" for kind in alone if kind != "nothing"
    }
    for query in TABLES:
        rows = sorted(raw(query))
        sides = [[row.removeprefix(side) for row in rows if row.startswith(side)] for side in ("one", "all")]
        assert sides[0] == sides[1], query
    found = await store.audiences.publication("plain")
    assert found is not None
    assert (found.reached, found.end_date is None) == (len(users), False)
    assert await store.audiences.reach(kept, users, complete=True, terms=terms) is None, "taken already"


async def test_an_inbox_that_is_not_level_has_a_say(store: Store, raw: Raw, parts: list[Parted]) -> None:
    await store.append([Submission(user, (Notification("x"),)) for user in ("ann", "bob")])
    await announce(store, "to-all", at=START)
    await store.append([Submission("new", (Notification("x"),))])
    users = await subscribers(store, "ann", "bob", "new")
    assert await store.audiences.reach(await publish(store, "own", SEVERAL[1]), users, complete=True)
    assert [user.user_id for user in parts[0].alone][:2] == ["ann", "bob"]
    assert parts[-1].alone == (), "level now"
    assert raw("SELECT count(*) FROM notifications WHERE notification_id = 'q'") == ["3"]


@pytest.mark.parametrize(
    "wanted",
    [
        (Notification("x", notification_id="p", group=GroupMember("m"), collapse_key="k"),),
        (Notification("x", notification_id="p"), Notification("x", notification_id="p")),
        (Notification("x", notification_id="p", collapse_key="k"), SEVERAL[0]),
        (Notification("x", notification_id="p", expire_date=datetime.fromtimestamp(1, UTC)), SEVERAL[1]),
    ],
)
async def test_what_depends_on_more_than_the_user_is_no_copy(
    store: Store, parts: list[Parted], wanted: tuple[Notification, ...]
) -> None:
    users = await subscribers(store, "ann", "bob")
    assert await store.audiences.reach(await publish(store, "p", *wanted), users, complete=True)
    assert [*parts[0].alone] == users


async def test_users_with_a_say_end_a_step_early(store: Store, parts: list[Parted]) -> None:
    """And the next begins behind them, however few of the others there were."""
    names = [f"user {number:03}" for number in range(230)]
    users = await subscribers(store, *names)
    busy = users[10:220]
    await store.append([Submission(user.user_id, (SEVERAL[0],)) for user in busy])
    kept = await publish(store, "p", SEVERAL[0])
    first = await store.audiences.reach(kept, users, complete=True)
    assert first is not None
    assert (first.end, first.complete, first.created) == (users[109].user_key, False, 10)
    found = await store.audiences.publication("p")
    assert found is not None
    assert (found.after, found.reached, found.end_date) == (first.end, 110, None)
    second = await store.audiences.reach(found, users[110:], complete=True)
    assert second is not None
    assert (second.end, second.complete) == (users[209].user_key, False)
    last = await store.audiences.publication("p")
    assert last is not None
    assert (await store.audiences.reach(last, users[210:], complete=True)) is not None
    assert [len(part.alone) for part in parts] == [100, 100, 10]
    states = await store.states(names)
    assert {state.unseen for state in states.values()} == {1}


async def test_a_step_is_as_many_statements_for_many_as_for_few(store: Any) -> None:
    await subscribers(store, *(f"user {number}" for number in range(300)))
    counted = []
    for number, size in enumerate((3, 300)):
        kept = await publish(store, f"p{number}", Notification("x", notification_id=f"p{number}"))
        users = await store.audiences.subscribers(TOPIC, after=0, limit=size)
        counted.append(await _statements(store, store.audiences.reach(kept, users, complete=True)))
    assert counted[0] == counted[1]
    assert len(counted[0]) < 12


async def _statements(store: Any, writing: Any) -> list[str]:
    """The beginnings of the statements of the writer meanwhile."""
    said: list[str] = []

    async def listen(session: Any) -> None:
        session.add_query_logger(lambda query: said.append(query.query[:20]))

    def trace(connection: Any) -> None:
        connection.set_trace_callback(lambda statement: said.append(statement[:20]))

    await store._writer.run(trace if hasattr(store, "path") else listen)
    await writing
    return [statement for statement, _ in groupby(said)]  # SQLite tells of a statement at each trigger again


async def test_two_callers_of_one_id_store_it_once(store: Store, other: Store) -> None:
    """A step and an append of the same id, through two nodes at once: no user has both."""
    users = await subscribers(store, *(f"user {number}" for number in range(40)))
    for number in range(6):
        own = Notification(f"own {number}", notification_id=f"n{number}")
        kept = await publish(store, f"p{number}", Notification("all", notification_id=f"n{number}"))
        appends = [other.append([Submission(user.user_id, (own,))]) for user in users[::3]]
        outcomes = await asyncio.gather(
            store.audiences.reach(kept, users, complete=True), *appends, return_exceptions=True
        )
        assert not isinstance(outcomes[0], BaseException)
        failed = [each for each in outcomes if isinstance(each, BaseException)]
        assert all(isinstance(each, NotificationIdConflict) for each in failed), failed
    states = await store.states([user.user_id for user in users])
    assert {state.unseen for state in states.values()} == {6}
