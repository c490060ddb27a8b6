"""A batch of appends: what is stored and answered is the same as for its requests one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from pns.contracts.store import Appended, CountsOf, Store
from pns.errors import NotificationIdConflict
from pns.model.category import Category, Channels
from pns.model.group import GroupMember
from pns.model.notification import Notification

from .conftest import PLENTY, append, cursor, inbox, submission
from .test_groups import plain

Outcome = tuple[int, bool] | str
MUTED = "muted"


def any_notification(random: Random) -> Notification:
    """New or known, with or without a key, a group and a category."""
    id = random.choice([None, *"abcdef"])
    key = random.choice([None, "k", "l"])
    member = random.choice([None, "user:1", "user:2"]) if key else None
    return Notification(
        f"data of {id}" if id and random.random() < 0.9 else f"other {random.randrange(3)}",
        notification_id=id,
        category=random.choice([None, "news", "jobs", MUTED]),
        collapse_key=key,
        group=None if member is None else GroupMember(member, random.choice([None, '{"name":"Ann"}'])),
    )


async def outcome(store: Store, user_id: str, request: Sequence[Notification]) -> Outcome:
    try:
        appended: Appended = await store.append([submission(user_id, *request)])
    except NotificationIdConflict as error:
        return str(error)
    return appended.created, bool(appended.changed)


async def kept(store: Store, user_id: str) -> object:
    """All that pages and counts say, but for ids that the store drew."""
    items = (await store.inbox(user_id, cursor())).items
    drawn = {item.notification_id for item in items if len(item.notification_id) > 1}
    asked = CountsOf(user_id)
    counts = (await store.counts([asked]))[asked]
    rows = [
        (
            "" if item.notification_id in drawn else item.notification_id,
            item.notification_data,
            item.seen_date is None,
            item.category,
            item.collapse_key,
            item.group,
        )
        for item in items
    ]
    return rows, counts.unseen, counts.unread, counts.categories


@pytest.mark.parametrize("seed", range(4))
async def test_a_batch_is_as_its_requests_one_after_the_other(store: Store, seed: int) -> None:
    await store.categories.declare(Category(MUTED, MUTED, "", Channels(inbox=False), frozenset()))
    random = Random(seed)
    outcomes: list[Outcome] = []
    for _ in range(12):
        requests = [
            [any_notification(random) for _ in range(random.choice((1, 1, 3)))]
            for _ in range(random.randrange(1, 12))
        ]
        together = await asyncio.gather(*(outcome(store, "together", each) for each in requests))
        apart = [await outcome(store, "apart", each) for each in requests]
        assert together == apart
        assert await kept(store, "together") == await kept(store, "apart")
        outcomes += apart
        if random.random() < 0.4:
            for user_id in ("together", "apart"):
                page = await store.unseen(user_id, limit=2, max_bytes=PLENTY)
                await store.mark_sent_seen(page.user_key, [item.seq for item in page.items])
    assert {type(each) for each in outcomes} == {str, tuple}
    assert {(0, False), (1, True)} <= set(outcomes)


async def test_a_batch_may_move_an_id_from_one_subject_to_another(store: Store) -> None:
    """What is replaced gives its id back, and a later request of the batch takes it."""
    await append(store, "ann", plain("a", key="first"), plain("b", key="second"))
    wanted = [plain("new", key="second"), plain("b", key="first"), plain("newest", key="second")]
    answers = await asyncio.gather(*(append(store, "ann", each) for each in wanted))
    assert [answer.created for answer in answers] == [1, 1, 1]
    assert await inbox(store, "ann") == ["data of b", "data of newest"]
    assert (await store.states(["ann"]))["ann"].unseen == 2


async def test_users_of_one_batch_have_their_own(store: Store) -> None:
    users = [f"user {number}" for number in range(20)]
    for key in ("k", None):
        await asyncio.gather(*(append(store, user, plain(f"{user} {key}", key=key)) for user in users))
        await asyncio.gather(*(append(store, user, plain(f"{user} again", key="k")) for user in users))
    for user in users:
        assert await inbox(store, user) == [f"data of {user} again", f"data of {user} None"]
