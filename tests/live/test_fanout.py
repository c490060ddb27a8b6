"""Fan-out: which reads hints cost, who is told, and what a lost hint leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

import pytest

from pns.contracts.store import State
from pns.live.askers import Askers
from pns.live.fanout import CHUNK, RETRY_SECONDS, Fanout
from pns.live.hub import Hub
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.engine import StubConnection, StubStore, turns
from tests.live.test_connection import Line


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def store() -> StubStore:
    return StubStore()


@pytest.fixture
async def fanout(hub: Hub, store: StubStore, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Fanout]:
    fanout = Fanout(hub, store.store, clock=clock, metrics=metrics)
    fanout.start()
    yield fanout
    await fanout.stop()
    await fanout.stop()


def joined(hub: Hub, *user_ids: str) -> list[StubConnection]:
    connections = [StubConnection(user_id) for user_id in user_ids]
    for connection in connections:
        hub.attach(connection.connection)
    return connections


async def test_every_connection_of_a_changed_user_is_told_once(
    fanout: Fanout, hub: Hub, store: StubStore
) -> None:
    phone, desk, other = joined(hub, "alice", "alice", "bob")
    store.by_user["alice"] = State(1, 5, 3)
    fanout.changed(["alice"])
    await turns()
    assert phone.told == desk.told == [State(1, 5, 3)]
    assert other.told == []
    assert store.asked == [["alice"]]


async def test_users_without_a_connection_cost_no_read(fanout: Fanout, hub: Hub, store: StubStore) -> None:
    joined(hub, "alice")
    fanout.changed(["bob", "carol"])
    await turns()
    assert store.asked == []


async def test_hints_during_a_read_share_the_next_one(fanout: Fanout, hub: Hub, store: StubStore) -> None:
    joined(hub, "alice", "bob")
    store.gate.clear()
    fanout.changed(["alice"])
    await turns()
    for _ in range(1000):
        fanout.changed(["alice", "bob"])
    store.gate.set()
    await turns(20)
    assert store.asked == [["alice"], ["alice", "bob"]]


async def test_what_a_commit_of_this_node_left_needs_no_read(
    fanout: Fanout, hub: Hub, store: StubStore
) -> None:
    phone, desk, other = joined(hub, "alice", "alice", "bob")
    left = {"alice": State(1, 5, 3), "bob": State(2, 1, 1), "carol": State(3, 1, 1)}
    with fanout.knowing(left):
        fanout.changed(left)
    await turns()
    assert phone.told == desk.told == [State(1, 5, 3)]
    assert other.told == [State(2, 1, 1)]
    assert store.asked == []


async def test_of_commits_in_one_turn_the_newest_count_is_told(
    fanout: Fanout, hub: Hub, store: StubStore
) -> None:
    (phone,) = joined(hub, "alice")
    for version in (5, 7, 6):
        with fanout.knowing({"alice": State(1, version, version)}):
            fanout.changed(["alice"])
    await turns()
    assert phone.told == [State(1, 7, 7)]


async def test_a_hint_of_somebody_else_is_read(fanout: Fanout, hub: Hub, store: StubStore) -> None:
    phone, other = joined(hub, "alice", "bob")
    store.by_user = {"alice": State(1, 6, 4), "bob": State(2, 1, 1)}
    with fanout.knowing({"alice": State(1, 5, 3)}):
        fanout.changed(["alice", "bob"])
    fanout.changed(["alice"])
    await turns()
    assert phone.told == [State(1, 5, 3), State(1, 6, 4)]
    assert other.told == [State(2, 1, 1)]
    assert store.asked == [["alice", "bob"]]


async def test_a_user_whose_devices_asked_for_counts_is_read(
    hub: Hub, store: StubStore, clock: FakeClock, metrics: Metrics
) -> None:
    """The counts of categories are in no commit's word, and both are told together."""
    (phone,) = joined(hub, "alice")
    askers = Askers()
    askers.add(phone.connection)
    fanout = Fanout(hub, store.store, clock=clock, metrics=metrics, askers=askers)
    fanout.start()
    with fanout.knowing({"alice": State(1, 5, 3)}):
        fanout.changed(["alice"])
    await turns()
    await fanout.stop()
    assert store.asked == [["alice"]]


async def test_many_who_are_told_at_once_let_others_have_their_turn(
    fanout: Fanout, hub: Hub, store: StubStore
) -> None:
    users = [f"user-{number}" for number in range(3 * CHUNK)]
    connections = joined(hub, *users)
    with fanout.knowing({user: State(1, 1, 1) for user in users}):
        fanout.changed(users)
    await asyncio.sleep(0)
    assert sum(len(one.told) for one in connections) == CHUNK
    await turns()
    assert all(one.told == [State(1, 1, 1)] for one in connections)


async def test_a_count_that_is_about_to_be_told_is_no_drift(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics
) -> None:
    joined(hub, "alice")
    store.by_user["alice"] = State(1, 1, 1)
    comparing = asyncio.create_task(fanout.compare())
    with fanout.knowing({"alice": State(1, 1, 1)}):
        fanout.changed(["alice"])
    await comparing
    await fanout.compare()
    assert drift(metrics) == 0


async def test_none_means_anybody(fanout: Fanout, hub: Hub, store: StubStore) -> None:
    joined(hub, "alice", "bob")
    fanout.changed(None)
    await turns()
    assert store.asked == [["alice", "bob"]]


async def test_a_store_that_is_away_is_asked_again(
    fanout: Fanout, hub: Hub, store: StubStore, clock: FakeClock
) -> None:
    (phone,) = joined(hub, "alice")
    store.away = True
    fanout.changed(["alice"])
    await turns()
    assert phone.told == []
    store.away = False
    clock.advance(RETRY_SECONDS)
    await turns()
    assert len(phone.told) == 1


async def test_after_a_surprise_it_goes_on(
    fanout: Fanout,
    hub: Hub,
    store: StubStore,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else all who change later would be marked for it, and so be compared no more either."""
    (phone,) = joined(hub, "alice")

    async def surprises(user_ids: Collection[str]) -> dict[str, State]:
        raise EOFError("what?")

    with monkeypatch.context() as patch:
        patch.setattr(fanout._store, "states", surprises)
        fanout.changed(["alice"])
        await turns()
    assert "a turn of the loop failed" in caplog.text
    assert metrics.registry.get_sample_value("pns_loop_errors_total", {"loop": "fanout"}) == 1
    await fanout.compare()
    assert len(phone.told) == 1, "whoever was not told is found by comparing"
    fanout.changed(["alice"])
    await turns()
    assert len(phone.told) == 2


async def test_a_lost_hint_is_found_by_comparing_and_counted(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics
) -> None:
    (phone,) = joined(hub, "alice")
    store.by_user["alice"] = State(1, 1, 1)
    await fanout.compare()
    assert phone.told == [State(1, 1, 1)], "told at once"
    phone.news = False
    await fanout.compare()
    assert b"pns_count_drift_total 1.0" in metrics.text(), "and counted when no hint explained it"


async def test_a_hint_that_is_merely_late_is_no_drift(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics
) -> None:
    joined(hub, "alice")
    await fanout.compare()
    fanout.changed(["alice"])
    await fanout.compare()
    assert b"pns_count_drift_total 0.0" in metrics.text()


def drift(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("pns_count_drift_total") or 0.0


async def test_a_connection_that_is_being_opened_has_not_drifted(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics
) -> None:
    """It is offered its state by a comparison before it begins, and was told no other one."""
    line = Line()
    hub.attach(line.connection)
    store.by_user["alice"] = State(1, 6, 1)
    await fanout.compare()
    line.peer.leaves()
    await line.start(State(1, 5, 0))
    assert [message["newNotificationCountChanged"] for message in line.peer.messages] == [1]
    await fanout.compare()
    assert drift(metrics) == 0


async def test_an_open_connection_beside_one_that_is_being_opened_may_have(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics
) -> None:
    opening, told = Line(), Line()
    task = told.start(State(1, 5, 0))
    await turns()
    hub.attach(opening.connection)
    hub.attach(told.connection)
    store.by_user["alice"] = State(1, 6, 1)
    await fanout.compare()
    assert told.peer.messages[-1] == {"newNotificationCountChanged": 1}
    await fanout.compare()
    assert drift(metrics) == 1, "a hint was lost, and found once"
    await fanout.compare()
    assert drift(metrics) == 1
    told.peer.leaves()
    await task


class InTurn(StubStore):
    """Each read is answered when its test says so, whatever came before it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[asyncio.Event] = []

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        self.answers.append(asyncio.Event())
        await self.answers[-1].wait()
        return await super().states(user_ids)


async def test_a_hint_whose_read_is_under_way_explains_a_change(
    hub: Hub, clock: FakeClock, metrics: Metrics
) -> None:
    """The comparison's own read comes back first."""
    store = InTurn()
    fanout = Fanout(hub, store.store, clock=clock, metrics=metrics)
    fanout.start()
    joined(hub, "alice")
    fanout.changed(["alice"])
    await turns()
    comparing = asyncio.create_task(fanout.compare())
    await turns()
    of_hint, of_comparison = store.answers
    of_comparison.set()
    await comparing
    of_hint.set()
    await turns()
    hub.detach(hub.of("alice")[0])
    await fanout.compare()
    assert drift(metrics) == 0
    await fanout.stop()


@pytest.mark.parametrize("late", [["alice"], None])
async def test_a_late_hint_explains_also_where_the_user_has_left(
    fanout: Fanout, hub: Hub, store: StubStore, metrics: Metrics, late: list[str] | None
) -> None:
    (phone,) = joined(hub, "alice")
    await fanout.compare()
    hub.detach(phone.connection)
    fanout.changed(late)
    await fanout.compare()
    assert drift(metrics) == 0


async def test_stop_is_safe_before_start(hub: Hub, store: StubStore) -> None:
    await Fanout(hub, store.store, clock=FakeClock(), metrics=Metrics()).stop()
