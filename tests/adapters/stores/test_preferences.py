"""Categories and preferences: what is turned off is neither stored nor counted nor pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from pns.contracts.audiences import EVERYBODY, Publication
from pns.contracts.store import Appended, Store
from pns.errors import CategoryRequired, NotificationIdConflict, UnknownCategory
from pns.model.category import MAX_CATEGORIES, Category, Channel, Channels
from pns.model.group import GroupMember
from pns.model.notification import Notification
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, count, cursor, inbox, submission
from tests.adapters.stores.pushing import TERMS, claim, phone

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
