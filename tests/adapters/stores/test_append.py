"""Appending: what is stored, under which id and place, and what is not stored twice."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.audiences import EVERYBODY
from pns.contracts.store import State, Store, Submission
from pns.errors import NotificationIdConflict
from pns.model.notification import Notification
from pns.model.timestamp import microseconds
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, count, cursor, ids, inbox, named, submission, unseen


def moment(clock: FakeClock, seconds: float = 0) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=seconds)


async def test_what_was_appended_is_read_back(store: Store, clock: FakeClock) -> None:
    expire_date = moment(clock, 3600)
    create_date = moment(clock, -60)
    appended = await append(
        store,
        "42",
        Notification(
            "héllo 🌍 \x01 '\"",
            notification_id="a:1",
            create_date=create_date,
            category="orders",
            collapse_key="k",
            expire_date=expire_date,
        ),
    )
    assert (appended.notification_ids, appended.created, set(appended.changed)) == (["a:1"], 1, {"42"})
    page = await store.unseen("42", limit=10, max_bytes=PLENTY)
    (item,) = page.items
    assert (item.seq, item.notification_id, item.notification_data) == (1, "a:1", "héllo 🌍 \x01 '\"")
    assert (item.create_date, item.expire_date) == (microseconds(create_date), microseconds(expire_date))
    assert (item.category, item.collapse_key, item.seen_date) == ("orders", "k", None)
    assert page.user_key == (await store.states(["42"]))["42"].user_key


async def test_the_store_gives_id_and_date_where_the_application_gave_none(
    store: Store, clock: FakeClock
) -> None:
    appended = await append(store, "42", "one", "one")
    page = await store.unseen("42", limit=10, max_bytes=PLENTY)
    assert ids(page) == appended.notification_ids
    assert len(set(appended.notification_ids)) == 2
    assert {uuid.UUID(i).version for i in appended.notification_ids} == {7}
    assert {item.create_date for item in page.items} == {clock.now()}


async def test_order_is_the_order_of_the_request_and_of_the_commits(store: Store) -> None:
    await append(store, "42", "a", "b")
    await store.append([submission("42", "c"), submission("7", "x"), submission("42", "d")])
    assert await unseen(store, "42") == ["a", "b", "c", "d"]
    page = await store.inbox("42", cursor())
    assert [item.seq for item in page.items] == [1, 2, 3, 4]


async def test_ids_stand_in_request_order_over_all_submissions(store: Store) -> None:
    appended = await store.append(
        [
            submission("42", Notification("c", notification_id="c")),
            submission("7", Notification("x", notification_id="x")),
            submission("42", Notification("a", notification_id="a")),
        ]
    )
    assert appended.notification_ids == ["c", "x", "a"]
    assert set(appended.changed) == {"42", "7"}
    assert appended.created == 3


async def test_a_repeated_request_stores_nothing(store: Store) -> None:
    await named(store, "42", "a", "b")
    before = await store.states(["42"])
    again = await append(
        store, "42", Notification("a", notification_id="a"), Notification("b", notification_id="b")
    )
    assert (again.notification_ids, again.created, set(again.changed)) == (["a", "b"], 0, set())
    assert await store.states(["42"]) == before
    assert await inbox(store, "42") == ["a", "b"]


async def test_data_alone_is_compared(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a")
    again = await append(
        store,
        "42",
        Notification("a", notification_id="a", category="other", create_date=moment(clock, -5)),
    )
    assert again.created == 0


async def test_a_seen_notification_is_known_too(store: Store) -> None:
    await named(store, "42", "a")
    await store.mark_all_seen("42")
    assert (await append(store, "42", Notification("a", notification_id="a"))).created == 0
    assert await count(store, "42") == 0


async def test_a_request_known_in_part_stores_the_rest(store: Store) -> None:
    await named(store, "42", "a")
    appended = await append(
        store,
        "42",
        Notification("new", notification_id="new"),
        Notification("a", notification_id="a"),
        "nameless",
    )
    assert appended.created == 2
    assert appended.notification_ids[:2] == ["new", "a"]
    assert await inbox(store, "42") == ["a", "new", "nameless"]


async def test_other_data_under_a_known_id_stores_nothing_of_the_request(store: Store) -> None:
    await named(store, "42", "a")
    before = await store.states(["42", "7"])
    with pytest.raises(NotificationIdConflict, match="a"):
        await store.append(
            [
                submission("7", "for somebody else"),
                submission("42", "first", Notification("other", notification_id="a")),
            ]
        )
    assert await store.states(["42", "7"]) == before
    assert await inbox(store, "42") == ["a"]
    assert await inbox(store, "7") == []


@pytest.mark.parametrize("apart", [False, True], ids=["in one submission", "in two"])
async def test_twice_in_one_request_is_once_if_equal(store: Store, apart: bool) -> None:
    twin = Notification("a", notification_id="a")
    together = [submission("42", twin, "b", twin)]
    appended = await store.append(
        [submission("42", twin, "b"), submission("42", twin)] if apart else together
    )
    assert appended.created == 2
    assert [appended.notification_ids[0], appended.notification_ids[2]] == ["a", "a"]
    assert await inbox(store, "42") == ["a", "b"]


@pytest.mark.parametrize("apart", [False, True], ids=["in one submission", "in two"])
async def test_twice_in_one_request_with_other_data_is_a_conflict(store: Store, apart: bool) -> None:
    one, two = Notification("a", notification_id="a"), Notification("b", notification_id="a")
    with pytest.raises(NotificationIdConflict):
        await store.append(
            [submission("42", one), submission("42", two)] if apart else [submission("42", one, two)]
        )
    assert await inbox(store, "42") == []
    assert (await store.states(["42"]))["42"] == State()


async def test_ids_are_a_users_own(store: Store) -> None:
    await named(store, "42", "a")
    assert (await append(store, "7", Notification("other", notification_id="a"))).created == 1
    assert await inbox(store, "42") == ["a"]


async def test_many_users_in_one_request_each_have_their_own(store: Store) -> None:
    """New ones, and those who have some of it already; whatever their ids are made of."""
    users = ["new", "héllo 🌍", "it's", '"quoted"', "back\\slash", "[1]", "{}", "7"]
    await named(store, "7", "first", "for all")
    await append(store, '"quoted"', "before")
    wanted = (Notification("for all", notification_id="for all"), Notification("x", notification_id="'\"\\"))
    request = [submission(user_id, *wanted) for user_id in users]
    appended = await store.append(request)
    assert (appended.created, set(appended.changed)) == (2 * len(users) - 1, set(users))
    for user_id in users:
        page = await store.unseen(user_id, limit=10, max_bytes=PLENTY)
        assert ids(page)[-2:] == ["for all", "'\"\\"], user_id
    assert [await count(store, user_id) for user_id in users] == [2, 2, 2, 3, 2, 2, 2, 3]
    repeated = await store.append(request)
    assert (repeated.created, set(repeated.changed)) == (0, set())


async def test_an_id_is_free_again_when_its_notification_is_gone(store: Store) -> None:
    await named(store, "42", "a")
    await store.withdraw("42", "a")
    assert (await append(store, "42", Notification("other", notification_id="a"))).created == 1


async def test_user_ids_are_compared_byte_by_byte(store: Store) -> None:
    users = ["é", "e\u0301", "E", "e", "1", "01", " 1", "a%", "a_", "🌍" * 255]
    for user_id in users:
        await append(store, user_id, user_id)
    for user_id in users:
        assert await inbox(store, user_id) == [user_id]
    assert {user: state.unseen for user, state in (await store.states(users)).items()} == dict.fromkeys(
        users, 1
    )


# ── collapse ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_collapse_key_replaces_the_unseen_one(store: Store) -> None:
    await append(
        store, "42", Notification("1", collapse_key="k"), "between", Notification("other", collapse_key="j")
    )
    before = (await store.states(["42"]))["42"]
    appended = await append(store, "42", Notification("2", collapse_key="k"))
    assert await unseen(store, "42") == ["between", "other", "2"]
    after = (await store.states(["42"]))["42"]
    assert after.unseen == before.unseen == 3
    assert appended.created == 1
    page = await store.unseen("42", limit=10, max_bytes=PLENTY)
    assert page.items[-1].seq > 3


async def test_a_collapse_key_leaves_what_was_seen_and_other_users(store: Store) -> None:
    await append(store, "42", Notification("seen", collapse_key="k"))
    await store.mark_all_seen("42")
    await append(store, "7", Notification("theirs", collapse_key="k"))
    await append(store, "42", Notification("new", collapse_key="k"))
    assert await inbox(store, "42") == ["seen", "new"]
    assert await inbox(store, "7") == ["theirs"]


@pytest.mark.parametrize("apart", [False, True], ids=["in one submission", "in two"])
async def test_the_last_of_a_request_replaces_the_earlier_ones(store: Store, apart: bool) -> None:
    one, two = Notification("1", collapse_key="k"), Notification("2", collapse_key="k")
    appended = await store.append(
        [submission("42", one), submission("42", "x", two)] if apart else [submission("42", one, "x", two)]
    )
    assert len(appended.notification_ids) == 3
    assert await unseen(store, "42") == ["x", "2"]
    assert await count(store, "42") == 2


async def test_repeating_a_request_that_collapsed_within_itself_changes_nothing(store: Store) -> None:
    request = [
        Notification("1", notification_id="one", collapse_key="k"),
        Notification("2", notification_id="two", collapse_key="k"),
    ]
    await append(store, "42", *request)
    again = await append(store, "42", *request)
    assert (again.notification_ids, again.created) == (["one", "two"], 0)
    assert await inbox(store, "42") == ["2"]


async def test_a_known_notification_replaces_nothing(store: Store) -> None:
    old = Notification("old", notification_id="old", collapse_key="k")
    await append(store, "42", old)
    await store.mark_all_seen("42")
    await append(store, "42", Notification("new", collapse_key="k"))
    await append(store, "42", old)
    assert await inbox(store, "42") == ["old", "new"]


# ── expiry ────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_has_expired_already_is_not_kept(store: Store, clock: FakeClock) -> None:
    await append(store, "42", Notification("kept", collapse_key="k"))
    appended = await append(
        store,
        "42",
        Notification("late", notification_id="late", collapse_key="k", expire_date=moment(clock)),
        Notification("soon", expire_date=moment(clock, 0.000001)),
    )
    assert appended.notification_ids[0] == "late"
    assert appended.created == 1
    assert await unseen(store, "42") == ["kept", "soon"]
    assert await count(store, "42") == 2


async def test_a_request_of_which_nothing_is_kept_makes_no_user(store: Store, clock: FakeClock) -> None:
    appended = await append(store, "42", Notification("late", expire_date=moment(clock, -1)))
    assert (appended.created, set(appended.changed)) == (0, set())
    assert (await store.states(["42"]))["42"] == State()


async def test_nothing_to_append_is_nothing(store: Store) -> None:
    appended = await store.append([])
    assert (appended.notification_ids, appended.created, set(appended.changed)) == ([], 0, set())


# ── for users who were found before ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("known_again", [False, True])
async def test_nothing_is_for_who_was_erased_since(store: Store, known_again: bool) -> None:
    """Whether it is named or not: nobody is made known by it, nor takes it for another."""
    await append(store, "ann", "x")
    await append(store, "bob", "x")
    keys = {user_id: state.user_key for user_id, state in (await store.states(["ann", "bob"])).items()}
    await store.erase("ann")
    if known_again:
        await append(store, "ann", "new")
    for id in ("y", None):
        notification = Notification("y", notification_id=id)
        appended = await store.append(
            [Submission(user_id, (notification,), user_key=keys[user_id]) for user_id in ("ann", "bob")]
        )
        assert (appended.created, set(appended.changed)) == (1, frozenset({"bob"}))
        assert len(appended.notification_ids) == 2
    assert await unseen(store, "ann") == (["new"] if known_again else [])
    assert await unseen(store, "bob") == ["x", "y", "y"]
    known = [user.user_id for user in await store.audiences.subscribers(EVERYBODY, after=0, limit=9)]
    assert sorted(known) == (["ann", "bob"] if known_again else ["bob"])


async def test_an_append_says_what_it_left(store: Store) -> None:
    """The same counts and versions as a read finds: alone, at once with others, and with what is replaced."""

    def words(number: int) -> list[Submission]:
        old = Notification("x", collapse_key="k")
        return [submission("ann", f"a{number}"), submission(f"u{number % 3}", old, "y", old)]

    for number in range(4):
        appended = await store.append(words(number))
        assert appended.changed == await store.states(list(appended.changed))
    together = await asyncio.gather(*(store.append(words(number)) for number in range(20)))
    newest: dict[str, State] = {}
    for one in together:
        assert one.changed.keys() == {"ann", *(u for u in one.changed if u.startswith("u"))}
        for user_id, state in one.changed.items():
            newest[user_id] = max(newest.get(user_id, State()), state, key=lambda known: known[:2])
    assert newest == await store.states(list(newest))


async def test_an_append_that_stores_nothing_names_nobody(store: Store) -> None:
    known = submission("ann", Notification("x", notification_id="n"))
    assert list((await store.append([known])).changed) == ["ann"]
    assert (await store.append([known])).changed == {}
    mixed = await store.append([known, submission("bob", "y")])
    assert mixed.changed == await store.states(["bob"])
