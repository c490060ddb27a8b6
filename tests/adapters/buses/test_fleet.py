"""Several nodes on one broker: who hears what, and how many at once."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from itertools import count

import pytest

from pns.adapters.buses.interest import channel_of
from pns.adapters.buses.signal_bus import CANARY_SECONDS, MOST_WAITING, PATIENCE_SECONDS, SignalBus
from tests.adapters.buses.conftest import Broker, NewNode
from tests.harness import eventually


def neighbours() -> tuple[str, str]:
    """Two users of one channel."""
    found: dict[str, str] = {}
    for number in count():
        user = sha256(str(number).encode()).hexdigest()
        if (neighbour := found.setdefault(channel_of(user), user)) != user:
            return user, neighbour
    raise AssertionError


async def test_nodes_hear_each_other(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    for here, there in ((one, other), (other, one)):
        await there.bus.join("ann")
        here.bus.signal(["ann"])
        await there.ear.hears("ann")
        there.ear.told.clear()


async def test_what_is_signalled_after_a_join_is_heard(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    for number in range(300):
        await other.bus.join(f"user-{number}")
        one.bus.signal([f"user-{number}"])
    await other.ear.hears(*(f"user-{number}" for number in range(300)))


@pytest.mark.parametrize("kind", ["redis", "nats"], indirect=True)
async def test_a_hint_goes_only_to_nodes_that_hold_the_user(new_node: NewNode) -> None:
    one, holder, other = await new_node(), await new_node(), await new_node()
    await holder.bus.join("ann")
    await other.bus.join("last")
    await holder.bus.join("last")
    one.bus.signal(["ann"])
    await holder.ear.hears("ann")
    one.bus.signal(["last"])
    await asyncio.gather(holder.ear.hears("last"), other.ear.hears("last"))
    assert (one.heard, holder.heard, other.heard) == (0, 2, 1)


@pytest.mark.parametrize("kind", ["redis", "nats"], indirect=True)
async def test_after_the_last_leave_nothing_comes(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    await other.bus.join("ann")
    await other.bus.join("last")
    other.bus.leave("ann")

    async def deaf() -> bool:
        before = other.heard
        one.bus.signal(["ann"])
        one.bus.signal(["last"])
        await other.ear.until(lambda: {"last"} in other.ear.told)
        other.ear.told.clear()
        return other.heard == before + 1

    await eventually(deaf)
    await other.bus.join("ann")
    one.bus.signal(["ann"])
    await other.ear.hears("ann")


async def test_a_crowd_joins_at_once(new_node: NewNode) -> None:
    """As after the death of a node: everybody is heard, and each of them soon."""
    patient = {"canary_seconds": CANARY_SECONDS, "patience_seconds": PATIENCE_SECONDS}
    one, other = await new_node(**patient), await new_node(**patient)
    users = [f"user-{number}" for number in range(2_000)]
    await asyncio.gather(*(other.bus.join(user) for user in users))
    one.bus.signal(users)
    await other.ear.hears(*users)


async def test_too_many_hints_at_once_become_one_for_everybody(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    await other.bus.join("ann")
    other.ear.told.clear()
    one.bus.signal([f"user-{number}" for number in range(MOST_WAITING + 1)])
    await other.ear.until(lambda: None in other.ear.told)
    one.bus.signal(["ann"])
    await other.ear.hears("ann")


async def test_long_names_in_many_alphabets_arrive(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    users = [f"{number}" + sign * 250 for number, sign in enumerate("a\"\\/é漢😀\u2028 '")]
    await asyncio.gather(*(other.bus.join(user) for user in users))
    one.bus.signal(users * 3)
    await other.ear.hears(*users)


async def test_users_who_share_a_channel_leave_one_by_one(new_node: NewNode) -> None:
    user, neighbour = neighbours()
    one, other = await new_node(), await new_node()
    await other.bus.join(user)
    await other.bus.join(neighbour)
    other.bus.leave(neighbour)
    await asyncio.sleep(0.5)  # past a canary, with which channels are given up
    one.bus.signal([user])
    await other.ear.hears(user)


@pytest.mark.parametrize(("kind", "suffix"), [("redis", "/1"), ("nats", "/second")], indirect=["kind"])
async def test_two_applications_share_a_broker_unheard(
    new_node: NewNode, broker: Broker, suffix: str
) -> None:
    ours, again, theirs = await new_node(), await new_node(), await new_node(broker.url + suffix)
    for node in (again, theirs):
        await node.bus.join("ann")
    ours.bus.signal(["ann"])
    await again.ear.hears("ann")
    await asyncio.sleep(0.1)  # nothing may come, so there is nothing to wait for
    assert theirs.heard == 0


async def test_what_is_no_hint_is_passed_over(new_node: NewNode) -> None:
    one, other = await new_node(), await new_node()
    assert isinstance(one.bus, SignalBus)
    await other.bus.join("ann")
    for text in ("", "[]", "{}", "nonsense", '[1, "ann"]', '["sender", null]'):
        await one.bus._publish([("all", text)])
    one.bus.signal(["ann"])
    await other.ear.hears("ann")
    assert other.ear.told == [None, {"ann"}]
