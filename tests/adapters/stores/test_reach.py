"""A step of a publication leaves each inbox as an append of what its user does not hold with other data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

import pytest

from pns.contracts.audiences import Publication, Subscriber
from pns.contracts.store import Store, Submission
from pns.model.notification import Notification
from pns.model.push import PushSchedule

from .pushing import HOUR, START, TERMS, phone

USERS, SEEDS = 3, 25
IDS = "abcde"
TOPIC = "topic/all"
ROWS = """
SELECT u.user_id, n.seq, n.notification_id, n.data, n.seen_date, n.collapse_key, n.expire_date,
  u.unseen, u.version
FROM users u LEFT JOIN notifications n ON n.user_key = u.user_key ORDER BY u.user_id, n.seq"""
PUSHES = """
SELECT u.user_id, p.seq, p.notification_id, p.due_at, p.expires_at
FROM users u JOIN pushes p ON p.user_key = u.user_key ORDER BY u.user_id, p.seq, p.device_id"""

Raw = Callable[[str], list[str]]


def some(random: Random, *, most: int) -> tuple[Notification, ...]:
    """Up to `most` notifications of few ids, data and collapse keys; one may have expired already."""
    return tuple(
        Notification(
            random.choice("xy"),
            notification_id=random.choice(IDS),
            collapse_key=random.choice([None, None, "k", "l"]),
            expire_date=random.choice([None, None, None, moment(START - HOUR), moment(START + HOUR)]),
        )
        for _ in range(random.randint(1, most))
    )


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


async def fill(store: Store, random: Random, *users: str) -> None:
    """The same history for each of `users`: notified one by one, some of it seen or withdrawn."""
    notifications = {n.notification_id: n for n in some(random, most=5)}
    marked, gone, devices = random.choice(IDS), random.choice(IDS), random.randint(0, 2)
    for user in users:
        await store.audiences.subscribe(TOPIC, user, make=True)
        for number in range(devices):
            await store.outbox.register(phone(user, f"{user} phone {number}"))
    for notification in notifications.values():
        await store.append([Submission(user, (notification,)) for user in users], TERMS)
    for user in users:
        await store.mark_seen(user, [marked])
        await store.withdraw(user, gone)


def free(wanted: Sequence[Notification], held: dict[str, str]) -> tuple[Notification, ...]:
    """What does not stand for other data, in the inbox or further up in `wanted`."""
    data = dict(held)
    return tuple(
        n
        for n in wanted
        if data.setdefault(str(n.notification_id), n.notification_data) == n.notification_data
    )


def inboxes(raw: Raw, query: str, side: str) -> list[str]:
    return [row.removeprefix(side) for row in raw(query) if row.startswith(side)]


@pytest.mark.parametrize("terms", [None, TERMS])
async def test_a_step_is_an_append_for_each_user_without_what_is_taken(
    store: Store, raw: Raw, terms: PushSchedule | None
) -> None:
    """Random histories and publications; each user has a twin who is notified alone, by an append."""
    users = {seed: [f"{seed}.{number}" for number in range(USERS)] for seed in range(SEEDS)}
    fills = [
        fill(store, Random(user), f"one {user}", f"all {user}") for some in users.values() for user in some
    ]
    await asyncio.gather(*fills)
    keys = {user: key for key, user in await store.audiences.subscribers(TOPIC, after=0, limit=1000)}
    held: dict[str, dict[str, str]] = {}
    for user, _, id, data, *_ in (row.split("|") for row in raw(ROWS)):
        held.setdefault(user, {})[id] = data
    left_out = 0
    for seed, twins in users.items():
        wanted = some(Random(seed), most=6)
        mine = {user: free(wanted, held[f"one {user}"]) for user in twins}
        left_out += sum(len(wanted) - len(some) for some in mine.values())
        alone = [store.append([Submission(f"one {user}", some)], terms) for user, some in mine.items()]
        appended = dict(zip(twins, await asyncio.gather(*alone), strict=True))
        kept = await store.audiences.publish(publication(str(seed), wanted))
        found = sorted(Subscriber(keys[f"all {user}"], f"all {user}") for user in twins)
        assert await store.audiences.reach(kept, found, complete=True, terms=terms) == (
            sum(one.created for one in appended.values()),
            {f"all {user}" for user, one in appended.items() if one.changed},
            len(found),
            found[-1].user_key,
            True,
        )
    assert left_out > SEEDS
    for query in (ROWS, PUSHES):
        assert inboxes(raw, query, "all ") == inboxes(raw, query, "one ")


def publication(id: str, notifications: tuple[Notification, ...]) -> Publication:
    return Publication(
        publication_id=id, audience=f"topic/{id}", notifications=notifications, create_date=START
    )
