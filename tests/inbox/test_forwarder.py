"""The forwarder over a table and a PNS that say what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import pytest

from pns.contracts.outgoing import Answer, Backlog, Later, Misdirected, Refusal, Refused, Row, Taken
from pns.errors import PNSError, SchemaError, Unavailable
from pns.inbox import forwarder as module
from pns.inbox.forwarder import MOST_BYTES, POLL_SECONDS, Forwarder, Tally
from pns.model.outgoing import Disconnect, Erase, Errand
from pns.testing import FakeClock
from tests.engine import turns


def row(id: str, user_id: str = "42", text: str = "Hello") -> Row:
    return Row(user_id, id, json.dumps({"notification_data": text}))


def rows(number: int) -> list[Row]:
    return [row(f"n{index:04}") for index in range(number)]


class Table:
    """Rows in order; `failing` is raised by the next calls."""

    def __init__(self, *waiting: Row) -> None:
        self.waiting = list(waiting)
        self.failed: list[Refusal] = []
        self.failing: dict[str, Exception] = {}
        self.claimed = 0
        self.closed = False
        self.nudge: Callable[[], None] = lambda: None

    def _raise(self, call: str) -> None:
        if call in self.failing:
            raise self.failing[call]

    async def open(self, nudge: Callable[[], None]) -> None:
        self._raise("open")
        self.nudge = nudge

    async def close(self) -> None:
        self.closed = True

    async def claim(self, most: int) -> Sequence[Row]:
        self._raise("claim")
        self.claimed += 1
        return self.waiting[:most]

    async def settle(self, taken: Collection[Row], refused: Collection[Refusal]) -> None:
        self._raise("settle")
        gone = {*taken, *(refusal.row for refusal in refused)}
        self.waiting = [row for row in self.waiting if row not in gone]
        self.failed += refused

    async def backlog(self) -> Backlog:
        self._raise("backlog")
        return Backlog(len(self.waiting), len(self.waiting) * 2.0, len(self.failed))


class Inboxes:
    """Takes all but `poison`; `answers` are given first."""

    def __init__(self, *answers: Answer, poison: Collection[str] = ()) -> None:
        self.answers = list(answers)
        self.poison = poison
        self.calls: list[list[str]] = []
        self.taken: list[str] = []
        self.errands: list[tuple[int, str, Errand]] = []
        """With the number of notifications that were taken before."""
        self.wrong = ""
        self.called, self.took = asyncio.Event(), asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def check(self) -> str:
        return self.wrong

    async def take(self, rows: Sequence[Row]) -> Answer:
        ids = [row.id for row in rows]
        self.calls.append(ids)
        self.called.set()
        await self.gate.wait()
        if self.answers:
            return self.answers.pop(0)
        if bad := [id for id in ids if id in self.poison]:
            return Refused(f"409 notification_id_conflict: {bad[0]}")
        self.taken += ids
        self.took.set()
        return Taken()

    async def run_errand(self, user_id: str, wanted: Errand) -> Answer:
        self.errands.append((len(self.taken), user_id, wanted))
        return self.answers.pop(0) if self.answers else Taken()

    async def close(self) -> None: ...


def made(table: Table, inboxes: Inboxes, clock: FakeClock) -> Forwarder:
    return Forwarder(table, inboxes, clock=clock, random=lambda: 0.0)


@pytest.mark.parametrize("number", [1, 1_000, 2_345])
async def test_rows_arrive_in_order_and_go(number: int, clock: FakeClock) -> None:
    table, inboxes = Table(*rows(number)), Inboxes()
    forwarder = made(table, inboxes, clock)
    while table.waiting:
        assert await forwarder.turn() == 0
    assert inboxes.taken == [row.id for row in rows(number)]
    assert max(map(len, inboxes.calls)) <= 1_000
    assert forwarder.tally == Tally(number, 0)
    assert await forwarder.turn() == POLL_SECONDS


@pytest.mark.parametrize("poison", [(0,), (999,), (1, 2, 3), (500, 700)])
async def test_a_poison_row_holds_up_nobody(poison: tuple[int, ...], clock: FakeClock) -> None:
    waiting = rows(1_000)
    bad = [waiting[index].id for index in poison]
    table, inboxes = Table(*waiting), Inboxes(poison=bad)
    assert await made(table, inboxes, clock).turn() == 0
    assert inboxes.taken == [row.id for row in waiting if row.id not in bad]
    assert [(refusal.row.id, refusal.problem) for refusal in table.failed] == [
        (id, f"409 notification_id_conflict: {id}") for id in bad
    ]
    assert len(inboxes.calls) <= len(bad) * 21
    assert table.waiting == []


async def test_an_errand_keeps_its_place_among_notifications(clock: FakeClock) -> None:
    errands = [
        Row("42", "x", '{"errand": "disconnect", "device_id": "d1"}'),
        Row("43", "y", '{"errand":"disconnect"}'),
        Row("42", "z", '{"errand": "erase"}'),
    ]
    about = Row("42", "w", '{"notification_data": "the \\"errand\\" of ending"}')
    table, inboxes = Table(row("a"), errands[0], row("b"), about, errands[1], errands[2], row("c")), Inboxes()
    assert await made(table, inboxes, clock).turn() == 0
    assert inboxes.calls == [["a"], ["b", "w"], ["c"]]
    assert inboxes.errands == [(1, "42", Disconnect("d1")), (3, "43", Disconnect()), (3, "42", Erase())]
    assert table.waiting == []


async def test_an_errand_that_must_wait_holds_back_what_follows(clock: FakeClock) -> None:
    """A user who comes back after the erasure keeps the new notifications."""
    table, inboxes = Table(Row("42", "x", '{"errand": "erase"}'), row("a")), Inboxes(Later("away"))
    assert await made(table, inboxes, clock).turn() > 0
    assert (inboxes.taken, len(table.waiting)) == ([], 2)


@pytest.mark.parametrize(
    ("notification", "remedy"),
    [
        ('{"errand": "forget"}', '{"errand": "erase"}'),
        ('{"errand": "erase", "device_id": "x"}', '{"errand": "erase"}'),
        ('{"errand": "disconnect", "device": "x"}', '"device_id" for one device'),
        ("Order shipped", "must be the JSON object"),
        ('"Order shipped"', "must be the JSON object"),
        ("[]", "must be the JSON object"),
        ('{"notification_data": "x"', "must be the JSON object"),
        ("", "must be the JSON object"),
        ('{"notification_data": "x", "notification_id": "other"}', "leave notification_id out"),
        ('{"notification_data": "x", "notification_id": 7}', "leave notification_id out"),
    ],
)
async def test_what_is_no_notification_is_not_sent(notification: str, remedy: str, clock: FakeClock) -> None:
    table, inboxes = Table(Row("42", "bad", notification), row("good")), Inboxes()
    await made(table, inboxes, clock).turn()
    assert inboxes.taken == ["good"]
    ((refused, problem),) = table.failed
    assert (refused.id, remedy in problem) == ("bad", True)


async def test_large_notifications_are_sent_in_parts(clock: FakeClock) -> None:
    large = [row(f"n{index}", text="x" * (MOST_BYTES // 3)) for index in range(5)]
    table, inboxes = Table(*large), Inboxes()
    await made(table, inboxes, clock).turn()
    assert inboxes.calls == [["n0", "n1"], ["n2", "n3"], ["n4"]]


@pytest.mark.parametrize(
    ("answer", "first", "second"),
    [(Later("away"), 0.5, 1.0), (Later("503", 7.0), 7.0, 7.0), (Later("429", 0.1), 0.5, 1.0)],
)
async def test_away_is_waited_for(answer: Later, first: float, second: float, clock: FakeClock) -> None:
    table, inboxes = Table(*rows(3)), Inboxes(answer, answer)
    forwarder = made(table, inboxes, clock)
    assert [await forwarder.turn(), await forwarder.turn()] == [first, second]
    assert (table.waiting, table.failed) == (rows(3), [])
    assert await forwarder.turn() == 0
    assert inboxes.calls == [[row.id for row in rows(3)]] * 3
    assert table.waiting == []


async def test_the_longest_wait_is_a_minute(clock: FakeClock) -> None:
    forwarder = made(Table(row("a")), Inboxes(*[Later("away")] * 50), clock)
    assert [await forwarder.turn() for _ in range(50)][-1] == 60


async def test_what_arrived_before_the_trouble_is_settled(clock: FakeClock) -> None:
    table = Table(*rows(4))
    inboxes = Inboxes(Refused("413"), Taken(), Later("away"))
    forwarder = made(table, inboxes, clock)
    assert await forwarder.turn() > 0
    assert table.waiting == rows(4)[2:]


@pytest.mark.parametrize("refused", [False, True])
async def test_rows_that_could_not_be_settled_are_not_sent_again(refused: bool, clock: FakeClock) -> None:
    table, inboxes = Table(*rows(2)), Inboxes(poison=["n0001"] if refused else [])
    table.failing["settle"] = Unavailable("locked")
    forwarder = made(table, inboxes, clock)
    assert await forwarder.turn() > 0
    calls = len(inboxes.calls)
    assert await forwarder.turn() > 0
    del table.failing["settle"]
    table.waiting.append(row("new"))
    await forwarder.turn()
    assert inboxes.calls[calls:] == [["new"]]
    assert (table.waiting, len(table.failed)) == ([], refused)
    # A row of the same content, inserted later, is another row.
    table.waiting.append(row("n0000"))
    await forwarder.turn()
    assert inboxes.calls[-1] == ["n0000"]


@pytest.mark.parametrize("call", ["open", "claim"])
async def test_a_database_that_is_away_is_waited_for(call: str, clock: FakeClock) -> None:
    table, inboxes = Table(row("a")), Inboxes()
    table.failing[call] = Unavailable("away")
    forwarder = made(table, inboxes, clock)
    assert [await forwarder.turn(), await forwarder.turn()] == [0.5, 1.0]
    del table.failing[call]
    await forwarder.turn()
    assert inboxes.taken == ["a"]


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_run_ends_where_an_operator_must_run_errand(clock: FakeClock) -> None:
    table, inboxes = Table(row("a")), Inboxes()
    inboxes.wrong = "401 unauthorized"
    with pytest.raises(PNSError, match="401"):
        await made(table, inboxes, clock).run()
    inboxes.wrong, table.failing["open"] = "", SchemaError("no table")
    with pytest.raises(SchemaError, match="no table"):
        await made(table, inboxes, clock).run()
    del table.failing["open"]
    inboxes.answers = [Misdirected("404")]
    with pytest.raises(PNSError, match="404"):
        await made(table, inboxes, clock).run()
    assert (table.waiting, table.closed) == ([row("a")], True)


async def test_a_gateway_in_trouble_later_is_waited_for(clock: FakeClock) -> None:
    table, inboxes = Table(row("a")), Inboxes()
    forwarder = made(table, inboxes, clock)
    await forwarder.turn()
    table.waiting, inboxes.answers = [row("b")], [Misdirected("404")]
    assert await forwarder.turn() > 0
    await forwarder.turn()
    assert inboxes.taken == ["a", "b"]


async def test_a_nudge_ends_the_pause_and_no_wait_for_trouble(clock: FakeClock) -> None:
    table, inboxes = Table(), Inboxes()
    forwarder = made(table, inboxes, clock)
    forwarder.start()
    await clock.until_sleeping()
    table.waiting, inboxes.answers = [row("a")], [Later("away")]
    table.nudge()
    await inboxes.called.wait()
    await clock.until_sleeping()
    claimed = table.claimed
    table.nudge()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (table.claimed, inboxes.taken) == (claimed, [])
    clock.advance(0.5)
    await inboxes.took.wait()
    await forwarder.stop()
    assert table.closed


async def test_without_a_nudge_rows_are_found_each_second(clock: FakeClock) -> None:
    table, inboxes = Table(), Inboxes()
    forwarder = made(table, inboxes, clock)
    forwarder.start()
    await clock.until_sleeping()
    table.waiting = [row("a")]
    clock.advance(POLL_SECONDS)
    await inboxes.took.wait()
    await forwarder.stop()


async def test_the_end_waits_for_the_body_under_way(clock: FakeClock) -> None:
    table, inboxes = Table(*rows(3)), Inboxes()
    inboxes.gate.clear()
    forwarder = made(table, inboxes, clock)
    forwarder.start()
    await inboxes.called.wait()
    stopping = asyncio.create_task(forwarder.stop())
    await asyncio.sleep(0)
    inboxes.gate.set()
    await stopping
    assert (table.waiting, table.closed) == ([], True)
    await forwarder.stop()


async def test_a_forwarder_beside_other_work_survives_everything(clock: FakeClock) -> None:
    table, inboxes = Table(row("a")), Inboxes()
    table.failing["open"] = SchemaError("no table")
    forwarder = made(table, inboxes, clock)
    forwarder.start()
    await clock.until_sleeping()
    table.failing["open"] = ZeroDivisionError()
    clock.advance(0.5)
    await asyncio.sleep(0)
    await clock.until_sleeping()
    table.failing.clear()
    clock.advance(60)
    await inboxes.took.wait()
    await forwarder.stop()


async def test_the_end_does_not_wait_for_a_database_that_hangs(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hung(Table):
        async def claim(self, most: int) -> Sequence[Row]:
            self.claimed += 1
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()
            return ()

    let_go, table = asyncio.Event(), Hung()
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.01)
    forwarder = made(table, Inboxes(), clock)
    forwarder.start()
    await turns()
    async with asyncio.timeout(10):
        await forwarder.stop()
    assert (table.claimed, table.closed) == (1, False)
    let_go.set()
    await turns()
    assert table.closed


async def test_stop_before_start(clock: FakeClock) -> None:
    forwarder = made(Table(), Inboxes(), clock)
    await forwarder.stop()
    await forwarder.stop()


# ── what waits ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_is_told_once_a_minute_while_pns_is_away(clock: FakeClock) -> None:
    told: list[Backlog] = []
    table, inboxes = Table(*rows(3)), Inboxes(*[Later("away")] * 100, poison=["n0001"])
    forwarder = Forwarder(table, inboxes, clock=clock, random=lambda: 0.0, on_backlog=told.append)
    for _ in range(59):
        await forwarder.turn()
        clock.advance(1)
    assert told == [Backlog(3, 6.0, 0)]
    clock.advance(1)
    inboxes.answers.clear()
    await forwarder.turn()
    clock.advance(module.LOOK_SECONDS)
    await forwarder.turn()
    assert told[1:] == [Backlog(3, 6.0, 0), Backlog(0, 0.0, 1)]


async def test_a_count_that_fails_is_trouble_of_the_database(clock: FakeClock) -> None:
    told: list[Backlog] = []
    table = Table(*rows(1))
    forwarder = Forwarder(table, Inboxes(), clock=clock, random=lambda: 0.0, on_backlog=told.append)
    table.failing["backlog"] = Unavailable("the application's database: gone")
    assert await forwarder.turn() == module.FIRST_SECONDS
    assert await forwarder.turn() == 0.0
    assert (table.waiting, told) == ([], [])


async def test_nobody_counts_where_nobody_listens(clock: FakeClock) -> None:
    table = Table(*rows(1))
    table.failing["backlog"] = AssertionError()
    assert await made(table, Inboxes(), clock).turn() == 0.0
