"""Tickets that were used: once, whatever node they are shown to, and remembered for as long as they count."""

from __future__ import annotations

import asyncio
import random

import pytest

from pns.contracts.store import Store
from pns.testing.clock import FakeClock

pytestmark = pytest.mark.usefixtures("without_deadlock")

SECOND = 1_000_000
REMEMBERED = 5 * 60
"""How many seconds longer than it counts a used ticket is kept, for nodes whose clocks are behind."""


async def test_a_ticket_is_used_once(store: Store, other: Store, clock: FakeClock) -> None:
    until = clock.now() + 30 * SECOND
    assert await store.use_ticket("a", until) is True
    assert await store.use_ticket("a", until) is False
    assert await other.use_ticket("a", until) is False
    assert await other.use_ticket("b", until) is True
    assert await store.use_ticket("b", until + 1) is False


async def test_of_two_nodes_at_once_one_wins(store: Store, other: Store, clock: FakeClock) -> None:
    """Forty tickets are shown four times each, to two nodes in any order: nobody waits in a ring."""
    chance, until = random.Random(3), clock.now() + 30 * SECOND
    tickets = [f"ticket {number}" for number in range(40)]
    won: list[str] = []

    async def use(node: Store, ticket: str) -> None:
        if await node.use_ticket(ticket, until):
            won.append(ticket)

    def shown() -> list[str]:
        return chance.sample([*tickets, *tickets], 2 * len(tickets))

    async with asyncio.timeout(60):
        await asyncio.gather(*(use(node, ticket) for node in (store, other) for ticket in shown()))
    assert sorted(won) == sorted(tickets)


async def test_the_winner_is_one_within_a_commit_too(store: Store, clock: FakeClock) -> None:
    until = clock.now() + 30 * SECOND
    assert sorted(await asyncio.gather(*(store.use_ticket("a", until) for _ in range(9)))) == [0] * 8 + [1]


async def test_a_used_ticket_is_forgotten_when_no_node_takes_it_any_more(
    store: Store, clock: FakeClock
) -> None:
    for number in range(5):
        await store.use_ticket(str(number), clock.now() + (30 + number) * SECOND)
    clock.advance(30 + REMEMBERED)
    assert await store.prune(seen_before=None, limit=100) == 0
    assert await store.use_ticket("0", clock.now()) is False
    clock.advance(1)
    assert await store.prune(seen_before=None, limit=100) == 1
    clock.advance(60)
    assert await store.prune(seen_before=None, limit=3) == 3
    assert await store.prune(seen_before=None, limit=3) == 1
    assert await store.prune(seen_before=None, limit=3) == 0
