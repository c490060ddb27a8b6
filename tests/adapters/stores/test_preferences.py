"""Categories and preferences: what is turned off is neither stored nor counted nor pushed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from pns.contracts.audiences import EVERYBODY, Publication
from pns.contracts.store import Appended, Store
from pns.errors import CategoryRequired, NotificationIdConflict, UnknownCategory
from pns.model.category import MAX_CATEGORIES, Category, Channel, Channels
from pns.model.group import GroupMember
from pns.model.notification import Notification
from pns.model.timestamp import MINUTE, moment_of
from pns.testing.clock import FakeClock
from tests.adapters.stores.announcing import announce
from tests.adapters.stores.conftest import PLENTY, Engine, append, count, cursor, inbox, submission
from tests.adapters.stores.pushing import TERMS, claim, phone
from tests.adapters.stores.test_webhooks import TERMS as TELLING
from tests.adapters.stores.test_webhooks import ids, take

ON, OFF = True, False


def category(name: str, *, required: Sequence[str] = (), **defaults: bool) -> Category:
    return Category(name, name.title(), "", Channels(**defaults), frozenset(map(Channel, required)))


def comment(data: str = "x", **members: object) -> Notification:
    return Notification(data, category="comments", **members)  # type: ignore[arg-type]


async def declare(
    store: Store, name: str = "comments", *, required: Sequence[str] = (), **defaults: bool
) -> None:
    assert await store.categories.declare(category(name, required=required, **defaults))


async def choose(store: Store, user_id: str = "ann", name: str = "comments", **channels: bool) -> None:
    await store.categories.choose(user_id, {name: Channels(**channels)})


async def on(store: Store, user_id: str = "ann", name: str = "comments") -> list[bool]:
    (found,) = [p for p in await store.categories.preferences(user_id) if p.category.category == name]
    return [found.on(channel) for channel in Channel]


# ── declaring and choosing ────────────────────────────────────────────────────────────────────────────


async def test_what_was_declared_is_read_as_it_was_declared(store: Store, other: Store) -> None:
    wanted = [
        category("b:2", required=["webhook", "inbox"]),
        category("B", push=OFF, webhook=ON),
        Category("a", "Ä title", "Of all things", Channels(), frozenset()),
    ]
    for each in wanted:
        assert await store.categories.declare(each)
    assert list(await other.categories.declared()) == [wanted[1], wanted[2], wanted[0]]
    anew = Category("a", "Another", "", Channels(inbox=OFF), frozenset([Channel.PUSH]))
    assert await other.categories.declare(anew)
    assert list(await store.categories.declared()) == [wanted[1], anew, wanted[0]]


async def test_a_choice_goes_before_a_default_and_what_is_required_before_both(store: Store) -> None:
    await declare(store, push=OFF, webhook=OFF)
    assert await on(store) == [ON, OFF, OFF]
    await choose(store, inbox=OFF, push=ON)
    assert await on(store) == [OFF, ON, OFF]
    assert await on(store, "bob") == [ON, OFF, OFF]
    await choose(store, push=OFF)
    assert await on(store) == [OFF, OFF, OFF], "what is not named stays"
    await declare(store, push=ON, required=["inbox", "webhook"])
    assert await on(store) == [ON, OFF, ON]
    await declare(store)
    assert await on(store) == [OFF, OFF, ON], "choices stay, and defaults follow the declaration"


async def test_no_choice_of_a_refused_call_is_kept(store: Store) -> None:
    await declare(store)
    await declare(store, "security", required=["inbox", "push"])
    both = {"comments": Channels(push=OFF), "security": Channels(push=OFF)}
    with pytest.raises(CategoryRequired, match="security"):
        await store.categories.choose("ann", both)
    with pytest.raises(UnknownCategory, match="unheard-of"):
        await store.categories.choose("ann", {"comments": Channels(push=OFF), "unheard-of": Channels()})
    with pytest.raises(UnknownCategory):
        await store.categories.choose("ann", {"a\0b": Channels(push=OFF)})
    assert await on(store) == [ON, ON, ON]
    assert (await store.states(["ann"]))["ann"].user_key == 0, "what is refused makes no user"
    await store.categories.choose("ann", {"security": Channels(webhook=OFF, push=ON)})
    assert await on(store, name="security") == [ON, ON, OFF]


async def test_a_choice_makes_a_user_known_only_if_it_may(store: Store) -> None:
    await declare(store)
    await store.categories.choose("ann", {"comments": Channels(webhook=OFF)}, make=False)
    await store.categories.choose("bob", {"comments": Channels()})
    assert [(await store.states([user]))[user].user_key for user in ("ann", "bob")] == [0, 0]
    await choose(store, webhook=OFF)
    assert (await store.states(["ann"]))["ann"].user_key > 0


async def test_there_is_an_end_of_categories(store: Store) -> None:
    for number in range(MAX_CATEGORIES):
        await declare(store, f"c{number}")
    assert not await store.categories.declare(category("one-more"))
    await declare(store, "c7", push=OFF)
    await store.categories.remove("c8")
    await declare(store, "one-more")
    assert len(await store.categories.declared()) == MAX_CATEGORIES


async def test_a_removed_category_takes_every_choice_along(
    store: Store, raw: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"pns.adapters.stores.{engine}.preferences.REMOVED_AT_ONCE", 2)
    await declare(store)
    await declare(store, "orders")
    await asyncio.gather(*(choose(store, f"u{number}", inbox=OFF) for number in range(5)))
    await choose(store, "u0", "orders", push=OFF)
    await store.categories.remove("comments")
    await store.categories.remove("comments")
    assert raw("SELECT category FROM choices") == ["orders"]
    await declare(store)
    assert await on(store, "u0") == [ON, ON, ON]


async def test_an_erased_user_has_chosen_nothing(store: Store, raw: Callable[[str], list[str]]) -> None:
    await declare(store)
    await choose(store, inbox=OFF)
    await choose(store, "bob", push=OFF)
    await store.erase("ann")
    assert raw("SELECT inbox, push FROM choices") == ["|0"]
    assert (await append(store, "ann", comment())).created == 1


# ── the inbox ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_turned_off_comes_and_goes(store: Store) -> None:
    await declare(store)
    await append(store, "ann", comment("before", notification_id="a"))
    await choose(store, inbox=OFF)
    before = (await store.states(["ann"]))["ann"]
    told: list[Appended | None] = []
    appended = await store.append([submission("ann", comment(notification_id="b"))], committed=told.append)
    assert appended == Appended(["b"], created=0, changed={})
    assert told == [appended]
    assert (await store.states(["ann"]))["ann"] == before, "nothing is counted"
    appended = await append(
        store, "ann", comment(notification_id="c"), Notification("y", notification_id="d")
    )
    assert (appended.notification_ids, appended.created) == (["c", "d"], 1)
    assert await inbox(store, "ann") == ["before", "y"], "what was stored before stays"
    assert (await append(store, "bob", comment())).created == 1
    await choose(store, inbox=ON)
    assert (await append(store, "ann", comment("b again", notification_id="b"))).created == 1


async def test_a_repeat_is_a_repeat_and_a_conflict_a_conflict(store: Store) -> None:
    await declare(store)
    await append(store, "ann", comment("kept", notification_id="a"))
    await choose(store, inbox=OFF)
    assert await append(store, "ann", comment("kept", notification_id="a")) == Appended(["a"], 0, {})
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", comment("other", notification_id="a"))
    twice = [comment("x", notification_id="b")] * 2
    for _ in range(2):
        assert await append(store, "ann", *twice) == Appended(["b", "b"], 0, {})
    with pytest.raises(NotificationIdConflict):
        await append(store, "ann", comment("x", notification_id="b"), comment("y", notification_id="b"))


async def test_what_is_turned_off_replaces_nothing(store: Store) -> None:
    await declare(store)
    await append(store, "ann", comment("shipped", collapse_key="order:7"))
    await choose(store, inbox=OFF)
    await append(store, "ann", comment("delivered", collapse_key="order:7"))
    assert (await inbox(store, "ann"), await count(store, "ann")) == (["shipped"], 1)
    await append(
        store, "ann", Notification("returned", collapse_key="order:7"), comment("x", collapse_key="order:7")
    )
    assert (await inbox(store, "ann"), await count(store, "ann")) == (["returned"], 1)


@pytest.mark.parametrize("together", [True, False], ids=["one request", "one batch"])
async def test_what_is_turned_off_is_in_no_group(store: Store, together: bool) -> None:
    """Though the next of its subject would leave no row of it."""
    await declare(store)
    await choose(store, inbox=OFF)
    muted = comment(collapse_key="k", group=GroupMember("ann"))
    kept = Notification("y", collapse_key="k", group=GroupMember("bob"))
    if together:
        await append(store, "ann", muted, kept)
    else:
        await asyncio.gather(append(store, "ann", muted), append(store, "ann", kept))
    (item,) = (await store.inbox("ann", cursor())).items
    assert item.group is not None
    assert (item.group.times, [each.member for each in item.group.latest]) == (1, ["bob"])


async def test_a_user_whom_nobody_knows_follows_the_defaults(store: Store) -> None:
    await declare(store, inbox=OFF)
    assert (await append(store, "ann", comment())).created == 0
    assert (await store.states(["ann"]))["ann"].user_key == 0
    await choose(store, inbox=ON)
    assert (await append(store, "ann", comment())).created == 1
    await declare(store, inbox=OFF, required=["inbox"])
    assert (await append(store, "bob", comment())).created == 1


@pytest.mark.parametrize("name", [None, "undeclared", "comment", "Comments"])
async def test_what_has_no_declared_category_is_on(store: Store, name: str | None) -> None:
    await declare(store, inbox=OFF)
    assert (await append(store, "ann", Notification("x", category=name))).created == 1


async def test_one_request_for_many_users_obeys_each(store: Store) -> None:
    await declare(store)
    await declare(store, "orders", inbox=OFF)
    await choose(store, "ann", inbox=OFF)
    await choose(store, "bob", "orders", inbox=ON)
    both = [comment("c"), Notification("o", category="orders"), Notification("plain")]
    users = ["ann", "bob", "eve"]
    appended = await store.append([submission(user, *both) for user in users])
    assert (appended.created, set(appended.changed)) == (6, frozenset(users))
    assert [await inbox(store, user) for user in users] == [["plain"], ["c", "o", "plain"], ["c", "plain"]]
    assert [await count(store, user) for user in users] == [1, 3, 2]


async def test_a_publication_obeys_every_subscriber(store: Store, clock: FakeClock) -> None:
    await declare(store)
    for user in ("ann", "bob", "eve"):
        await append(store, user, "first")
    await choose(store, "bob", inbox=OFF)
    publication = await store.audiences.publish(
        Publication(
            publication_id="p",
            audience=EVERYBODY,
            notifications=(comment("news", notification_id="p.0"),),
            create_date=clock.now(),
        )
    )
    users = await store.audiences.subscribers(EVERYBODY, after=0, limit=10)
    reached = await store.audiences.reach(publication, users, complete=True)
    assert reached is not None
    assert (reached.created, reached.changed) == (2, {"ann", "eve"})
    assert [await count(store, user) for user in ("ann", "bob", "eve")] == [2, 1, 2]


# ── two nodes ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_choice_on_one_node_holds_on_the_other(store: Store, other: Store) -> None:
    assert (await append(other, "ann", comment())).created == 1
    await declare(store)
    assert (await append(other, "ann", comment())).created == 1
    await choose(store, inbox=OFF)
    assert (await append(other, "ann", comment())).created == 0
    await choose(other, inbox=ON)
    assert (await append(store, "ann", comment())).created == 1


async def test_notifies_under_way_on_both_nodes_obey_the_choice(store: Store, other: Store) -> None:
    """They come without a pause while the user turns the category off: the last word counts."""
    await declare(store)
    for turn in range(4):
        user, answered = f"u{turn}", asyncio.Event()
        await append(store, user, "known")

        async def notify(node: Store, user: str = user, answered: asyncio.Event = answered) -> list[Appended]:
            begun = [asyncio.create_task(append(node, user, comment()))]
            while not answered.is_set():
                await begun[-1]
                begun.append(asyncio.create_task(append(node, user, comment())))
            return await asyncio.gather(*begun)

        notifies = [asyncio.create_task(notify(node)) for node in (store, other)]
        await choose(other, user, inbox=OFF)
        after = await count(store, user)
        answered.set()
        found = await asyncio.gather(*notifies)
        assert await count(other, user) == after == 1 + sum(one.created for some in found for one in some)
        assert (await append(store, user, comment())).created == 0


# ── pushes ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_push_that_is_turned_off_is_not_even_enqueued(
    store: Store, raw: Callable[[str], list[str]]
) -> None:
    await declare(store)
    for user in ("ann", "bob"):
        await store.outbox.register(phone(user, f"of {user}"))
    await choose(store, push=OFF)
    wanted = [submission(user, comment(), Notification("y")) for user in ("ann", "bob")]
    assert (await store.append(wanted, TERMS)).created == 4
    assert raw("SELECT count(*) FROM pushes") == ["3"]
    assert await count(store, "ann") == 2, "the inbox has it all the same"


async def test_a_push_that_is_turned_off_meanwhile_is_not_sent(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await declare(store)
    await store.outbox.register(phone())
    await store.append([submission("ann", comment("c", notification_id="c"), Notification("y"))], TERMS)
    await choose(other, push=OFF)
    assert [push.notification_data for push in await claim(store, clock)] == ["y"]
    (status,) = await store.outbox.pushes("ann", "c")
    assert (status.state, status.reason) == ("cancelled", "turned off by the user")


async def test_a_required_push_is_sent_whatever_was_chosen(store: Store, clock: FakeClock) -> None:
    await declare(store)
    await choose(store, push=OFF)
    await store.outbox.register(phone())
    await declare(store, required=["push"])
    await store.append([submission("ann", comment("c"))], TERMS)
    assert [push.notification_data for push in await claim(store, clock)] == ["c"]


# ── events ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def telling(engine: Engine) -> AsyncIterator[Store]:
    store = engine(webhook=TELLING)
    await store.open()
    yield store
    await store.close()


async def told(store: Store, clock: FakeClock) -> list[tuple[str, list[str]]]:
    """Whoever is told of something in the next minutes, and of what."""
    clock.advance(16 * 60)
    return [(event.user_id, ids(event)) for event in await take(store, clock)]


async def spread(store: Store, clock: FakeClock, audience: str, *notifications: Notification) -> None:
    publication = await store.audiences.publish(
        Publication(
            publication_id="p", audience=audience, notifications=notifications, create_date=clock.now()
        )
    )
    users = await store.audiences.subscribers(audience, after=0, limit=10)
    assert await store.audiences.reach(publication, users, complete=True)


async def deliver(store: Store, clock: FakeClock) -> None:
    clock.advance(60)
    assert (await store.later.deliver(limit=10, max_bytes=PLENTY)).stored == 1


KEYED: dict[str, Any] = {"collapse_key": "k"}
MEMBER: dict[str, Any] = {"collapse_key": "k", "group": GroupMember("m")}
WAYS = ["notify", "replace", "group", "deliver", "snooze", "topic/t", "bucket/b", "announcement"]


async def prepare(store: Store, clock: FakeClock, way: str) -> None:
    """All that comes before ann turns something off."""
    await append(store, "ann", Notification("first", webhook=False))
    soon = clock.now() + MINUTE
    if way == "replace":
        await append(store, "ann", comment(**KEYED))
    elif way == "group":
        await append(store, "ann", comment(**MEMBER))
    elif way == "deliver":
        await append(store, "ann", comment(notification_id="c", deliver_date=moment_of(soon)))
    elif way == "snooze":
        await append(store, "ann", comment(notification_id="c"))
        await store.later.snooze("ann", "c", soon)
    elif "/" in way:
        await store.audiences.subscribe(way, "ann", make=True)


async def bring(store: Store, clock: FakeClock, way: str) -> None:
    """One more comes into ann's inbox."""
    if way == "notify":
        await append(store, "ann", comment(notification_id="c"))
    elif way == "replace":
        await append(store, "ann", comment(notification_id="c", **KEYED))
    elif way == "group":
        await append(store, "ann", comment(notification_id="c", **MEMBER))
    elif way == "announcement":
        await announce(store, comment(notification_id="c"), at=clock.now())
    elif "/" in way:
        await spread(store, clock, way, comment(notification_id="c"))
    else:
        await deliver(store, clock)
    page = await store.inbox("ann", cursor())  # whoever reads has the announcement
    assert [item.notification_id for item in page.items][1:] == ["c"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_comes_while_its_events_are_off_is_never_told(
    telling: Store, clock: FakeClock, way: str
) -> None:
    await declare(telling)
    await prepare(telling, clock, way)
    await choose(telling, webhook=OFF)
    await bring(telling, clock, way)
    await choose(telling, webhook=ON)
    await append(telling, "ann", Notification("y", notification_id="y"))
    assert await told(telling, clock) == [("ann", ["y"])]


@pytest.mark.parametrize("way", WAYS)
async def test_what_comes_while_its_events_are_on_is_told(telling: Store, clock: FakeClock, way: str) -> None:
    await declare(telling, webhook=OFF)
    await prepare(telling, clock, way)
    await choose(telling, webhook=ON)
    await bring(telling, clock, way)
    assert await told(telling, clock) == [("ann", ["c"])]


async def test_nobody_is_looked_at_for_what_is_never_told(telling: Store, clock: FakeClock) -> None:
    await declare(telling)
    await choose(telling, webhook=OFF)
    await append(telling, "ann", comment(), comment())
    assert await telling.webhooks.next_due() is None
    await append(telling, "ann", comment(), Notification("y"))
    assert await telling.webhooks.next_due() == clock.now() + TELLING.unseen_after


async def test_events_that_are_off_by_default_are_told_from_the_choice_on(
    telling: Store, clock: FakeClock
) -> None:
    """Of nobody else: neither of users whom nobody knew, nor of users who turned the inbox off."""
    await declare(telling, webhook=OFF)
    await declare(telling, "orders", webhook=OFF, required=["webhook"])
    users = ("ann", "bob", "eve")
    await choose(telling, "eve", inbox=OFF, webhook=ON)
    await append(telling, "ann", comment(notification_id="before"))
    await choose(telling, webhook=ON)
    order = Notification("o", notification_id="o", category="orders")
    await telling.append([submission(user, comment(notification_id="c"), order) for user in users])
    await declare(telling)
    assert sorted(await told(telling, clock)) == [("ann", ["c", "o"]), ("bob", ["o"]), ("eve", ["o"])]


@pytest.mark.parametrize("way", ["topic/t", "bucket/b"])
async def test_events_of_a_publication_obey_every_subscriber(
    telling: Store, clock: FakeClock, way: str
) -> None:
    await declare(telling)
    for user in ("ann", "bob", "eve"):
        await telling.audiences.subscribe(way, user, make=True)
    await choose(telling, "bob", webhook=OFF)
    await spread(telling, clock, way, comment(notification_id="c"), Notification("y", notification_id="y"))
    await choose(telling, "bob", webhook=ON)
    assert sorted(await told(telling, clock)) == [("ann", ["c", "y"]), ("bob", ["y"]), ("eve", ["c", "y"])]


async def test_required_events_are_told_whatever_was_chosen(telling: Store, clock: FakeClock) -> None:
    await declare(telling)
    await choose(telling, webhook=OFF)
    await append(telling, "ann", comment(notification_id="before"))
    await declare(telling, required=["webhook"])
    await append(telling, "ann", comment(notification_id="c"))
    assert await told(telling, clock) == [("ann", ["c"])]
