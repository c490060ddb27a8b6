"""The connections that asked for counts: the reads that they cost, and what a lost hint leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection

import pytest

from pns.contracts.store import CountsOf, State
from pns.errors import StoreUnavailable
from pns.live.askers import Askers
from pns.live.fanout import RETRY_SECONDS, Fanout
from pns.live.hub import Hub
from pns.model.counts import Counts
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.engine import StubStore, turns
from tests.live.test_connection import Line
from tests.live.test_fanout import drift


class CountingStore(StubStore):
    """Counts as the test sets them, the same for all requests of a user. `asks` records every read."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = Counts(1, 1, 1, 1)
        self.asks: list[set[CountsOf]] = []

    async def counts(self, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
        self.asks.append(set(asked))
        if self.away:
            raise StoreUnavailable
        return dict.fromkeys(asked, self.counted)


class House:
    """A fan-out, and the lines of its hub."""

    def __init__(self, clock: FakeClock, metrics: Metrics) -> None:
        self.clock, self.metrics = clock, metrics
        self.hub, self.askers, self.store = Hub(), Askers(), CountingStore()
        self.store.by_user["alice"] = State(1, 1, 1)
        self.fanout = Fanout(self.hub, self.store.store, clock=clock, metrics=metrics, askers=self.askers)
        self.tasks: list[asyncio.Task[None]] = []

    async def line(self, *messages: object) -> Line:
        """A connection of alice, which says these."""
        line = Line()
        shared = line.shared
        object.__setattr__(shared, "askers", self.askers)
        object.__setattr__(shared, "store", self.store)
        self.hub.attach(line.connection)
        self.tasks.append(line.start(State(1, 1, 1)))
        line.peer.says(*(json.dumps(message) for message in messages))
        await turns()
        return line

    def changed(self, version: int, *, unseen: int = 1) -> None:
        self.store.counted = Counts(1, version, unseen, 1)


@pytest.fixture
async def house(clock: FakeClock, metrics: Metrics) -> AsyncIterator[House]:
    house = House(clock, metrics)
    house.fanout.start()
    yield house
    await house.fanout.stop()
    for task in house.tasks:
        task.cancel()


def told(line: Line) -> list[int]:
    return [m["notificationCounts"]["version"] for m in line.peer.messages if "notificationCounts" in m]


async def test_those_who_never_ask_cost_no_read(house: House) -> None:
    line = await house.line()
    house.fanout.changed(["alice"])
    await turns()
    await house.fanout.compare()
    assert house.store.asks == []
    assert told(line) == []


async def test_equal_requests_share_a_read_and_only_theirs_is_told(house: House) -> None:
    one, two = await house.line({"countsRequest": {}}), await house.line({"countsRequest": {}})
    other = await house.line({"countsRequest": {"categories": ["c"]}})
    silent = await house.line()
    assert len(house.store.asks) == 3, "each was answered at once"
    house.changed(2)
    house.fanout.changed(["alice"])
    await turns()
    assert house.store.asks[3:] == [{CountsOf("alice"), CountsOf("alice", ("c",))}]
    assert [told(line) for line in (one, two, other, silent)] == [[1, 2], [1, 2], [1, 2], []]


async def test_a_connection_that_ended_costs_no_read(house: House) -> None:
    line = await house.line({"countsRequest": {}})
    line.peer.leaves()
    await house.tasks[0]
    house.fanout.changed(["alice"])
    await turns()
    assert len(house.store.asks) == 1


async def test_a_store_that_is_away_is_asked_again(house: House) -> None:
    line = await house.line({"countsRequest": {}})
    house.store.away = True
    house.changed(2)
    house.fanout.changed(["alice"])
    await turns()
    assert told(line) == [1]
    house.store.away = False
    house.clock.advance(RETRY_SECONDS)
    await turns(20)
    assert told(line) == [1, 2]


async def test_lost_counts_are_found_by_comparing_and_counted(house: House) -> None:
    line = await house.line({"countsRequest": {}})
    await house.fanout.compare()
    assert drift(house.metrics) == 0
    house.changed(2)
    await house.fanout.compare()
    assert told(line) == [1, 2], "told at once"
    await house.fanout.compare()
    assert drift(house.metrics) == 1, "and counted when no hint explained it"
    house.changed(3)
    await house.fanout.compare()
    house.fanout.changed(["alice"])
    await house.fanout.compare()
    assert drift(house.metrics) == 1, "a hint that is merely late is no drift"


async def test_a_change_between_asking_and_reading_is_told(house: House) -> None:
    """Another request has another answer, and what was read for the one before is not told for it."""
    line = await house.line({"countsRequest": {}})
    house.changed(2)
    late = dict.fromkeys([CountsOf("alice")], Counts(1, 2, 7, 7))
    line.peer.says(json.dumps({"countsRequest": {"categories": ["c"]}}))
    await turns()
    assert told(line) == [1, 2]
    house.askers._tell(CountsOf("alice"), late[CountsOf("alice")]._replace(version=3))
    assert told(line) == [1, 2]
