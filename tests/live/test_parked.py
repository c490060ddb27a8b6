"""A connection that calls of its line drive: as of a task of its own, and no task where nothing happens."""

from __future__ import annotations

import asyncio

import pytest

from pns.contracts.store import State
from pns.live.connection import Connection
from pns.live.parked import Parked
from pns.live.transport import Hearer
from pns.model.messages import CloseCode
from pns.model.notification import Page
from tests.harness import eventually
from tests.live.test_connection import ASK, Line, Peer


class ParkedPeer(Peer):
    """A server's line: hands over one message after the other."""

    hearer: Hearer | None = None
    free = False

    def park(self, hearer: Hearer) -> None:
        self.hearer = hearer
        self.go_on()

    def go_on(self) -> None:
        self.free = True
        self._next()

    def says(self, *texts: str | bytes) -> None:
        super().says(*texts)
        self._next()

    def leaves(self) -> None:
        assert self.hearer is not None
        self.hearer.lost()

    def _next(self) -> None:
        if self.free and self.hearer is not None and not self.says_next.empty():
            self.free = False
            message = self.says_next.get_nowait()
            assert message is not None
            self.hearer.hear(message)


class ParkedLine(Line):
    def __init__(self, *, timeout: float = 5.0) -> None:
        super().__init__(timeout=timeout, plugged_in=False)
        self.peer: ParkedPeer = ParkedPeer()
        self.left: list[Connection] = []
        self.plug_in()
        self.parked = Parked(self.connection, self.peer, left=self.left.append)

    def begin(self) -> None:
        self.parked.begin(State(1, 1, 3))

    async def gone(self) -> None:
        await eventually(lambda: self.left)
        assert self.left == [self.connection]


@pytest.fixture
async def line() -> ParkedLine:
    return ParkedLine()


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_an_idle_connection_has_no_task(line: ParkedLine) -> None:
    before = tasks()
    line.begin()
    assert line.peer.messages == [{"newNotificationCountChanged": 3}]
    line.connection.tell(State(1, 2, 4))
    assert line.peer.messages[-1] == {"newNotificationCountChanged": 4}
    assert tasks() == before
    line.peer.says(ASK)
    await eventually(lambda: line.inbox.marked)
    await eventually(lambda: tasks() == before)
    line.peer.leaves()
    assert line.left == [line.connection]


async def test_messages_are_served_one_after_the_other(line: ParkedLine) -> None:
    line.begin()
    line.peer.says("nonsense", ASK, "nonsense")
    await eventually(lambda: len(line.peer.messages) == 4)
    kinds = [next(iter(message)) for message in line.peer.messages]
    assert kinds == ["newNotificationCountChanged", "error", "newNotificationData", "error"]
    assert line.inbox.marked == [(7,)]


async def test_an_end_says_goodbye_and_leaves_once(line: ParkedLine) -> None:
    line.begin()
    line.connection.end(CloseCode.LOGGED_OUT)
    line.connection.end(CloseCode.RESTART)
    line.parked.wake()
    await line.gone()
    line.peer.leaves()
    assert line.left == [line.connection]
    assert (line.peer.close_codes, line.closes(4501)) == ([4501], 1.0)


async def test_an_end_before_the_first_count(line: ParkedLine) -> None:
    line.connection.end(CloseCode.TOO_MANY_CONNECTIONS)
    line.begin()
    line.peer.says(ASK)
    await line.gone()
    assert (line.peer.texts, line.peer.close_codes, line.inbox.reads) == ([], [4509], 0)


async def test_an_end_right_after_a_message_stops_what_was_not_begun(line: ParkedLine) -> None:
    line.begin()
    line.peer.says(ASK)
    line.connection.end(CloseCode.RESTART)
    await line.gone()
    assert (line.inbox.reads, line.peer.close_codes) == (0, [1012])


async def test_an_end_stops_a_read_under_way(line: ParkedLine) -> None:
    reading = asyncio.Event()

    async def unseen(user_id: str, **options: object) -> Page:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    line.inbox.unseen = unseen  # type: ignore[method-assign]
    line.begin()
    line.peer.says(ASK)
    await reading.wait()
    line.connection.end(CloseCode.LOGGED_OUT)
    await line.gone()
    assert line.peer.close_codes == [4501]


async def test_a_peer_that_leaves_within_a_message_is_not_marked(line: ParkedLine) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()
    unseen = line.inbox.unseen

    async def slowly(user_id: str, *, limit: int, max_bytes: int, category: str | None = None) -> Page:
        reading.set()
        await go_on.wait()
        return await unseen(user_id, limit=limit, max_bytes=max_bytes)

    def gone(text: str) -> None:
        raise OSError("the peer is gone")

    line.inbox.unseen = slowly  # type: ignore[method-assign]
    line.begin()
    line.peer.says(ASK)
    await reading.wait()
    line.peer.before_send = gone
    line.peer.leaves()
    assert line.left == []
    go_on.set()
    await line.gone()
    assert (line.inbox.marked, line.peer.close_codes) == ([], [])


@pytest.mark.parametrize(
    ("message", "code"), [(b"binary", 1003), ("x" * 5000, 1009)], ids=["binary", "too big"]
)
async def test_a_message_that_ends_the_connection(line: ParkedLine, message: str | bytes, code: int) -> None:
    line.begin()
    line.peer.says(message, ASK)
    await line.gone()
    assert (line.peer.close_codes, line.inbox.reads) == ([code], 0)


async def test_a_failure_ends_this_connection_alone(
    line: ParkedLine, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*args: object, **options: object) -> Page:
        raise ValueError("a fault")

    line.inbox.unseen = fails  # type: ignore[method-assign]
    line.begin()
    line.peer.says(ASK)
    await line.gone()
    assert line.peer.close_codes == [1011]
    assert "a connection failed" in caplog.text


async def test_a_store_that_is_away_is_told(line: ParkedLine) -> None:
    line.inbox.away = True
    line.begin()
    line.peer.says(ASK)
    await eventually(lambda: len(line.peer.messages) == 2)
    assert line.peer.messages[-1]["error"]["code"] == "unavailable"
    assert line.left == []


async def test_a_peer_that_reads_nothing_is_dropped() -> None:
    line = ParkedLine(timeout=0.05)
    line.begin()
    line.peer.writable.clear()
    line.connection.tell(State(1, 2, 4))
    await line.gone()
    assert line.peer.aborted
    assert line.closes(4408) == 1.0


async def test_a_count_that_meets_a_peer_that_is_gone_ends_the_connection(line: ParkedLine) -> None:
    def gone(text: str) -> None:
        raise OSError("the peer is gone")

    line.begin()
    line.peer.before_send = gone
    line.connection.tell(State(1, 2, 4))
    await line.gone()
    assert line.peer.close_codes == []


@pytest.mark.parametrize("at", ["the first count", "a later count"])
async def test_a_turn_that_is_cancelled_by_the_server_leaves(line: ParkedLine, at: str) -> None:
    async def for_ever(*args: object, **options: object) -> Page:
        await asyncio.Event().wait()
        raise AssertionError

    line.inbox.unseen = for_ever  # type: ignore[method-assign]
    line.begin()
    if at == "a later count":
        line.connection.tell(State(1, 2, 4))
    before = asyncio.all_tasks()
    line.peer.says(ASK)
    (turn,) = asyncio.all_tasks() - before
    await asyncio.sleep(0)
    turn.cancel()
    await asyncio.wait([turn])
    assert turn.cancelled()
    assert line.left == [line.connection]
