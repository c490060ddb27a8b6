"""One connection, driven by messages of a device, states of a hub and ends from anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from pns.contracts.store import State, Store
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.live.admission import Admitted
from pns.live.connection import Connection, Shared
from pns.model.messages import CloseCode
from pns.model.notification import Page, StoredNotification
from pns.runtime.metrics import Metrics
from pns.settings import ServerSettings, Settings
from pns.testing.clock import FakeClock
from tests.harness import eventually

ASK = "unseenNotificationDataRequest"
ITEM = StoredNotification(7, "id", "data", 0, None, None, None, None)


class StubInbox:
    """A store and its changes: one page for everybody, and what was read and marked."""

    def __init__(self) -> None:
        self.reads = 0
        self.marked: list[tuple[int, ...]] = []
        self.away = False

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int, category: str | None = None) -> Page:
        self.reads += 1
        if self.away:
            raise StoreUnavailable
        return Page(1, (ITEM,))

    async def mark_sent_seen(self, user_id: str, user_key: int, seqs: Sequence[int]) -> int:
        self.marked.append(tuple(seqs))
        return len(seqs)


class Peer:
    """A device at a server's other end, and that server as a transport."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.takes = asyncio.Event()
        self.takes.set()
        self.says_next: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.texts: list[str] = []
        self.close_codes: list[int] = []
        self.aborted = False
        self.before_send: Callable[[str], None] = lambda text: None

    def blocked(self) -> Awaitable[object] | None:
        return None if self.writable.is_set() else self.writable.wait()

    def send_text(self, text: str) -> Awaitable[None] | None:
        if not self.takes.is_set():
            return self.send_later(text)
        self.before_send(text)
        self.texts.append(text)
        return None

    async def send_later(self, text: str) -> None:
        await self.takes.wait()
        self.before_send(text)
        self.texts.append(text)

    async def send_close(self, code: int, reason: str) -> None:
        self.close_codes.append(code)

    def abort(self) -> None:
        self.aborted = True

    def says(self, *texts: str | bytes) -> None:
        for text in texts:
            self.says_next.put_nowait(text)

    def leaves(self) -> None:
        self.says_next.put_nowait(None)

    @property
    def messages(self) -> list[Any]:
        return [json.loads(text) for text in self.texts]


class Line:
    """A connection under way, and everything around it."""

    def __init__(
        self, *, timeout: float = 5.0, shared: Shared | None = None, plugged_in: bool = True
    ) -> None:
        self.inbox, self.peer, self.metrics = StubInbox(), Peer(), Metrics()
        self.shared = shared or Shared(
            settings=Settings(server=ServerSettings(send_timeout_seconds=timeout)),
            store=cast(Store, self.inbox),
            changes=cast(Changes, self.inbox),
            clock=FakeClock(),
            metrics=self.metrics,
            page_turns=asyncio.Semaphore(2),
        )
        self.connection = Connection(
            self.shared, Admitted("alice", "phone", 5), credentials=None, recheck_at=0.0
        )
        if plugged_in:
            self.plug_in()
        self.task: asyncio.Task[None] | None = None

    def plug_in(self) -> None:
        self.connection.plug_in(self.peer)

    def start(self, state: State | None = None) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.connection.run(self.peer.says_next.get, state or State(1, 1, 3)))
        return self.task

    def closes(self, code: int) -> float:
        return self.metrics.registry.get_sample_value("pns_closes_total", {"code": str(code)}) or 0.0


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_the_count_comes_first_and_the_device_ends_it(line: Line) -> None:
    line.peer.says(ASK)
    line.peer.leaves()
    await line.start()
    assert [list(message) for message in line.peer.messages] == [
        ["newNotificationCountChanged"],
        ["newNotificationData"],
    ]
    assert line.peer.close_codes == []
    assert line.inbox.marked == [(7,)]


async def test_what_was_not_handed_over_is_not_marked(line: Line) -> None:
    def gone(text: str) -> None:
        if "newNotificationData" in text:
            raise OSError("the peer is gone")

    line.peer.before_send = gone
    line.peer.says(ASK)
    await line.start()
    assert line.inbox.reads == 1
    assert line.inbox.marked == []


async def test_no_second_page_is_built_for_a_peer_that_does_not_read() -> None:
    """The fix: `_apply` waits for Writer.ready before it reads."""
    line = Line(timeout=0.05)

    def fills(text: str) -> None:
        if "newNotificationData" in text:
            line.peer.writable.clear()

    line.peer.before_send = fills
    line.peer.says(ASK, ASK, ASK)
    await line.start()
    assert line.inbox.reads == 1
    assert line.inbox.marked == [(7,)]
    assert line.peer.aborted
    assert line.peer.close_codes == []
    assert line.closes(4408) == 1


async def test_a_count_that_a_stalled_peer_does_not_take_ends_it() -> None:
    line = Line(timeout=0.05)
    task = line.start()
    await eventually(lambda: line.peer.messages)
    line.peer.writable.clear()
    assert line.connection.tell(State(1, 2, 4))
    await task
    assert line.peer.aborted
    assert line.closes(4408) == 1


async def test_a_count_that_comes_before_the_socket_is_not_lost() -> None:
    """The hint's read overtook the connection's own first read, on another line to the store."""
    line = Line(plugged_in=False)
    for version in (3, 2):
        assert not line.connection.tell(State(1, version, version))
    line.plug_in()
    line.peer.leaves()
    await line.start(State(1, 1, 1))
    assert line.peer.messages == [{"newNotificationCountChanged": 3}]


async def test_the_first_reason_to_end_stands(line: Line) -> None:
    task = line.start()
    await eventually(lambda: line.peer.messages)
    line.connection.end(CloseCode.RESTART)
    line.connection.end(CloseCode.LOGGED_OUT)
    await task
    line.connection.end(CloseCode.LOGGED_OUT)
    assert line.peer.close_codes == [1012]
    assert (line.closes(1012), line.closes(4501)) == (1, 0)


async def test_an_end_before_the_start_sends_no_count(line: Line) -> None:
    line.connection.end(CloseCode.TOO_MANY_CONNECTIONS)
    await line.start()
    assert line.peer.close_codes == [4509]
    assert line.peer.messages == []


async def test_a_drop_says_nothing(line: Line) -> None:
    line.start()
    await eventually(lambda: line.peer.messages)
    line.connection.drop()
    assert line.peer.aborted
    line.peer.leaves()
    assert line.task is not None
    await line.task
    assert line.peer.close_codes == []


async def test_somebody_elses_cancellation_goes_on(line: Line) -> None:
    """The server's or the host's, also while PNS ends the connection itself."""
    task = line.start()
    await eventually(lambda: line.peer.messages)
    line.connection.end(CloseCode.RESTART)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert line.peer.close_codes == []


async def test_a_revocation_ends_it_and_an_older_one_does_not(line: Line) -> None:
    task = line.start()
    await eventually(lambda: line.peer.messages)
    assert line.connection.tell(State(1, 2, 4, {"phone": 5, "other": 9}))
    assert not line.connection.tell(State(1, 3, 5, {"phone": 6}))
    await task
    assert line.peer.close_codes == [4501]
    assert line.peer.messages[-1] == {"newNotificationCountChanged": 4}


@pytest.mark.parametrize(("message", "code"), [(b"x", 1003), ("x" * 4097, 1009), ("é" * 2049, 1009)])
async def test_what_a_foreign_server_lets_through(line: Line, message: str | bytes, code: int) -> None:
    line.peer.says(message)
    await line.start()
    assert line.peer.close_codes == [code]


@pytest.mark.parametrize("later", [True, False], ids=["in its own task", "in place"])
async def test_a_count_that_cannot_be_sent_ends_the_connection_and_is_logged_once(
    line: Line, later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The fix: Connection is the edge of what a host's middleware around `send` raises."""

    def fails(text: str) -> None:
        raise ValueError("of a host's middleware")

    task = line.start()
    await eventually(lambda: line.peer.messages)
    line.peer.before_send = fails
    if later:
        line.peer.takes.clear()
    line.connection.tell(State(1, 2, 4))
    line.peer.takes.set()
    await task
    assert [record.message for record in caplog.records] == ["a connection failed"]
    assert line.closes(1011) == 1


async def test_a_peer_that_is_gone_when_a_count_comes_ends_quietly(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(text: str) -> None:
        raise OSError("the peer is gone")

    task = line.start()
    await eventually(lambda: line.peer.messages)
    line.peer.before_send = gone
    line.connection.tell(State(1, 2, 4))
    await task
    assert caplog.records == []
    assert line.peer.close_codes == []


async def test_an_answer_that_cannot_be_sent_is_logged_once_and_counted(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(text: str) -> None:
        if "newNotificationData" in text:
            raise ValueError("of a host's middleware")

    line.peer.before_send = fails
    line.peer.says(ASK)
    await line.start()
    assert line.inbox.marked == []
    assert [record.message for record in caplog.records] == ["a connection failed"]
    assert line.peer.close_codes == [1011]
    assert line.closes(1011) == 1


async def test_a_store_that_is_away_is_an_answer(line: Line) -> None:
    line.inbox.away = True
    line.peer.says(ASK)
    line.start()
    await eventually(lambda: len(line.peer.messages) == 2)
    assert line.peer.messages[-1]["error"]["code"] == "unavailable"
    line.inbox.away = False
    line.peer.says(ASK)
    await eventually(lambda: len(line.peer.messages) == 3)
    assert "newNotificationData" in line.peer.messages[-1]
    line.peer.leaves()
    assert line.task is not None
    await line.task


async def test_a_peer_that_does_not_read_holds_no_turn() -> None:
    """Few pages are built at a time, but sending them is nobody else's business."""
    stalled = [Line()]
    stalled += [Line(shared=stalled[0].shared) for _ in range(4)]
    healthy = Line(shared=stalled[0].shared)
    for line in [*stalled, healthy]:
        line.start()
    await eventually(lambda: all(line.peer.messages for line in [*stalled, healthy]))
    for line in stalled:
        line.peer.takes.clear()
        line.peer.says(ASK)
    await eventually(lambda: stalled[0].inbox.reads == 5)
    healthy.peer.says(ASK)
    await eventually(lambda: len(healthy.peer.messages) == 2)
    for line in [*stalled, healthy]:
        line.peer.takes.set()
        line.peer.leaves()
        assert line.task is not None
        await line.task
