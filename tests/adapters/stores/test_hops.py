"""Functions that share a hop to the thread of a SQLite connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable

import aiosqlite
import pytest

from pns.adapters.stores.hops import Hops


class Checks:
    """Counts the hops; `error` is raised before the functions of each."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error


class Gate:
    """A function that holds the thread until `open`."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> str:
        self.entered.set()
        self._open.wait(60)
        return "gate"

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def connection() -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(":memory:") as connection:
        yield connection


def value(number: int) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("SELECT ?", (number,)).fetchone()[0]


def noted(ran: list[int], number: int) -> Callable[[sqlite3.Connection], int]:
    def note(connection: sqlite3.Connection) -> int:
        ran.append(number)
        return number

    return note


async def held(hops: Hops) -> tuple[Gate, asyncio.Future[str]]:
    """The thread is busy: what is asked now waits."""
    gate = Gate()
    first = hops.run(gate)
    await asyncio.to_thread(gate.entered.wait, 60)
    return gate, first


async def test_functions_that_wait_share_a_hop_in_their_order(connection: aiosqlite.Connection) -> None:
    checks, order = Checks(), list[int]()
    hops = Hops(connection, at_once=64, check=checks)
    gate, first = await held(hops)
    waiting = [hops.run(noted(order, number)) for number in range(50)]
    gate.open()
    assert await asyncio.gather(*waiting) == [*range(50)]
    assert await first == "gate"
    assert order == [*range(50)]
    assert checks.count == 2


@pytest.mark.parametrize(("at_once", "hops_of_7"), [(1, 7), (3, 3), (7, 1)])
async def test_no_hop_takes_more_than_at_once(
    connection: aiosqlite.Connection, at_once: int, hops_of_7: int
) -> None:
    checks = Checks()
    hops = Hops(connection, at_once=at_once, check=checks)
    gate, first = await held(hops)
    waiting = [hops.run(value(number)) for number in range(7)]
    gate.open()
    assert await asyncio.gather(*waiting) == [*range(7)]
    assert await first == "gate"
    assert checks.count == 1 + hops_of_7


async def test_an_error_is_of_its_own_caller_alone(connection: aiosqlite.Connection) -> None:
    hops = Hops(connection, at_once=64, check=Checks())
    gate, first = await held(hops)
    good, bad, other = (
        hops.run(value(1)),
        hops.run(lambda raw: raw.execute("SELECT * FROM nowhere")),
        hops.run(value(2)),
    )
    gate.open()
    assert await first == "gate"
    assert (await good, await other) == (1, 2)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await bad


async def test_without_the_file_no_function_of_the_hop_runs(connection: aiosqlite.Connection) -> None:
    checks, ran = Checks(), list[int]()
    hops = Hops(connection, at_once=64, check=checks)
    gate, first = await held(hops)
    checks.error = OSError("moved")
    waiting = [hops.run(noted(ran, number)) for number in range(3)]
    gate.open()
    assert await first == "gate"
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in found] == ["moved"] * 3
    assert not ran
    checks.error = None
    assert await hops.run(value(5)) == 5


async def test_a_function_runs_though_its_caller_has_left(connection: aiosqlite.Connection) -> None:
    hops, ran = Hops(connection, at_once=64, check=Checks()), list[int]()
    gate, first = await held(hops)
    left = hops.run(noted(ran, 1))
    stayed = hops.run(value(2))
    left.cancel()
    gate.open()
    assert await first == "gate"
    assert await stayed == 2
    assert ran == [1]


async def test_what_was_asked_before_the_end_is_done_before_the_end() -> None:
    connection = await aiosqlite.connect(":memory:")
    hops = Hops(connection, at_once=2, check=Checks())
    gate, first = await held(hops)
    waiting = [hops.run(value(number)) for number in range(5)]
    ended = connection.stop()
    gate.open()
    assert await first == "gate"
    assert await asyncio.gather(*waiting) == [*range(5)]
    assert ended is not None
    await ended
