"""Every preference that there can be, by every way into an inbox, against the sentence of the contract:

required wins over what was chosen, which wins over the default, which wins over "on".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from msgspec import UNSET

from pns.contracts.audiences import EVERYBODY, Publication
from pns.contracts.store import Store
from pns.model.category import Category, Channel, Channels
from pns.model.group import GroupMember
from pns.model.notification import Notification
from pns.testing.clock import FakeClock
from tests.adapters.stores.conftest import append, inbox, submission
from tests.adapters.stores.pushing import TERMS, claim, phone

SAID = (None, True, False)
USERS = {"unsaid": None, "chose-on": True, "chose-off": False}
"""Each with what the user chose of every category."""
TURNED_OFF = "turned off by the user"
TESTED = (Channel.INBOX, Channel.PUSH)


class Declared(NamedTuple):
    """A category with something to say of one channel. All others of it are on."""

    channel: Channel
    default: bool | None
    required: bool

    @property
    def name(self) -> str:
        return f"{self.channel}-{self.default}-{self.required}"

    @property
    def category(self) -> Category:
        required = frozenset([self.channel]) if self.required else frozenset()
        return Category(self.name, self.name, "", self.channels(self.default), required)

    def channels(self, said: bool | None) -> Channels:
        return Channels(**{self.channel.value: UNSET if said is None else said})

    def on(self, user: str) -> bool:
        """What the contract says of the channel."""
        return self.required or next((said for said in (USERS[user], self.default) if said is not None), True)

    @property
    def unsaid(self) -> Category:
        return Category(self.name, self.name, "", Channels(), frozenset())


ALL = [Declared(*each) for each in ((c, d, r) for c in TESTED for d in SAID for r in (True, False))]


async def chosen(store: Store) -> None:
    """The users choose, of categories that require nothing yet; each has a phone."""
    for user, said in USERS.items():
        await store.outbox.register(phone(user, f"of {user}"))
        for one in ALL:
            await store.categories.declare(one.unsaid)
            await store.categories.choose(user, {one.name: one.channels(said)})


async def declared(store: Store) -> None:
    """What the application says from now on, whatever was chosen before."""
    for one in ALL:
        await store.categories.declare(one.category)


def wanted() -> list[Notification]:
    return [Notification(one.name, category=one.name) for one in ALL]


async def plainly(store: Store, now: int) -> None:
    await store.append([submission(user, *wanted()) for user in USERS], TERMS)


async def one_by_one(store: Store, now: int) -> None:
    for user in USERS:
        for one in wanted():
            await store.append([submission(user, one)], TERMS)


async def with_ids(store: Store, now: int) -> None:
    named = [Notification(one.name, category=one.name, notification_id=one.name) for one in ALL]
    await store.append([submission(user, *named) for user in USERS], TERMS)


async def in_place_of_others(store: Store, now: int) -> None:
    """One key for each, under which nothing is kept, so that what is off shows as missing."""
    keyed = [Notification(one.name, category=one.name, collapse_key=one.name) for one in ALL]
    await store.append([submission(user, *keyed) for user in USERS], TERMS)


async def in_groups(store: Store, now: int) -> None:
    likes = [
        Notification(one.name, category=one.name, collapse_key=one.name, group=GroupMember("m"))
        for one in ALL
        for _ in range(2)
    ]
    for user in USERS:
        for like in likes:
            await store.append([submission(user, like)], TERMS)


async def by_a_publication(store: Store, now: int) -> None:
    named = [Notification(one.name, category=one.name, notification_id=f"p.{one.name}") for one in ALL]
    wish = Publication(publication_id="p", audience=EVERYBODY, notifications=tuple(named), create_date=now)
    publication = await store.audiences.publish(wish)
    users = await store.audiences.subscribers(EVERYBODY, after=0, limit=10)
    assert {user.user_id for user in users} == set(USERS)
    await store.audiences.reach(publication, users, complete=True, terms=TERMS)


WAYS = [plainly, one_by_one, with_ids, in_place_of_others, in_groups, by_a_publication]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_every_preference_is_obeyed_on_every_way(
    store: Store,
    clock: FakeClock,
    raw: Callable[[str], list[str]],
    way: Callable[[Store, int], Awaitable[None]],
) -> None:
    await chosen(store)
    await declared(store)
    await way(store, clock.now())
    pushed = await claim(store, clock, limit=1_000)
    for user in USERS:
        stored = {one.name for one in ALL if one.channel is not Channel.INBOX or one.on(user)}
        assert set(await inbox(store, user)) == stored, user
        assert {push.notification_data for push in pushed if push.device.user_id == user} == {
            one.name
            for one in ALL
            if one.name in stored and (one.channel is not Channel.PUSH or one.on(user))
        }, user
    off = raw(f"SELECT count(*) FROM pushes WHERE reason = '{TURNED_OFF}'")
    assert off == ["0"], "what is off is not even enqueued"


async def test_every_preference_is_obeyed_once_more_when_a_push_is_sent(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """What was on when it was stored. The inbox is not looked at again: what is stored stays."""
    for user in USERS:
        await store.outbox.register(phone(user, f"of {user}"))
    await store.append([submission(user, *wanted()) for user in USERS], TERMS)
    await chosen(other)
    await declared(other)
    pushed = await claim(store, clock, limit=1_000)
    for user in USERS:
        assert len(await inbox(store, user)) == len(ALL)
        assert {push.notification_data for push in pushed if push.device.user_id == user} == {
            one.name for one in ALL if one.channel is not Channel.PUSH or one.on(user)
        }, user
    assert (await append(store, "somebody", Notification("x", category="undeclared"))).created == 1
