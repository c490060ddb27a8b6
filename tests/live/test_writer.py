"""The writer on PNS's own socket and on a foreign one: newest wins, one send at a time, nothing piles up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pns.contracts.store import State
from pns.live.transport import Transport
from pns.live.writer import SlowReader, Writer
from pns.model.counts import Counts
from pns.testing.clock import FakeClock
from tests.harness import eventually

PATIENCE = 5.0


def count(version: int, *, user_key: int = 1) -> State:
    """A state whose count is its version, so that texts tell which one was sent."""
    return State(user_key=user_key, version=version, unseen=version)


def text(version: int) -> str:
    return f'{{"newNotificationCountChanged":{version}}}'


def time_that_jumps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """From now on the running loop waits for no timer: its time jumps there. Returns what passed of it."""
    loop: Any = asyncio.get_running_loop()
    passed, begin, look = 0.0, loop.time(), loop._selector.select

    def select(timeout: float | None) -> Any:
        nonlocal passed
        passed += timeout or 0.0
        return look(0)

    monkeypatch.setattr(loop._selector, "select", select)
    monkeypatch.setattr(loop, "time", lambda: begin + passed)
    return lambda: passed


class OwnSocket:
    """The server's side of a peer that reads or does not: texts go out in place."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.texts: list[str] = []
        self.aborted = False
        self.under_way = 0

    def blocked(self) -> Awaitable[object] | None:
        return None if self.writable.is_set() else self.wait()

    async def wait(self) -> None:
        self.under_way += 1
        assert self.under_way == 1, "two sends at once"
        try:
            await self.writable.wait()
        finally:
            self.under_way -= 1

    def send_text(self, text: str) -> None:
        assert self.writable.is_set(), "sent to a socket that takes nothing"
        self.texts.append(text)

    async def send_close(self, code: int, reason: str) -> None:
        await self.writable.wait()
        self.texts.append(str(code))

    def abort(self) -> None:
        self.aborted = True


class ForeignSocket:
    """A host's `send`, which waits for `writable` and tells nothing of its buffer."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.texts: list[str] = []
        self.under_way = 0

    def blocked(self) -> None:
        return None

    async def send_text(self, text: str) -> None:
        self.under_way += 1
        assert self.under_way == 1, "two sends at once"
        try:
            await self.writable.wait()
            self.texts.append(text)
        finally:
            self.under_way -= 1

    async def send_close(self, code: int, reason: str) -> None:
        await self.writable.wait()
        self.texts.append(str(code))

    def abort(self) -> None: ...


class Broken(ForeignSocket):
    """A `send` that raises, when it is called or when it is awaited."""

    def __init__(self, error: Exception, *, at_once: bool) -> None:
        super().__init__()
        self.error = error
        self.at_once = at_once

    def send_text(self, text: str) -> Coroutine[Any, Any, None]:
        if self.at_once:
            raise self.error
        return self.fail()

    async def fail(self) -> None:
        raise self.error


class ThroughTimeout(ForeignSocket):
    """A `send` under a host's `asyncio.timeout`."""

    async def send_text(self, text: str) -> None:
        async with asyncio.timeout(0.01):
            await super().send_text(text)


def writer(
    transport: Transport, *, timeout: float = PATIENCE, broken: Callable[[Exception], None] | None = None
) -> Writer:
    return Writer(transport, timeout=timeout, clock=FakeClock(), on_broken=broken or (lambda error: None))


# ── PNS's own server ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_count_is_on_its_way_when_offer_returns() -> None:
    socket = OwnSocket()
    counts = writer(socket)
    counts.begin(count(1))
    counts.offer(count(2))
    assert socket.texts == [text(1), text(2)]


async def test_whoever_does_not_read_is_told_the_newest_count_alone() -> None:
    socket = OwnSocket()
    counts = writer(socket)
    counts.begin(count(1))
    socket.writable.clear()
    for version in range(2, 1000):
        counts.offer(count(version))
    assert socket.texts == [text(1)]
    assert not counts.up_to_date
    socket.writable.set()
    await eventually(lambda: counts.up_to_date)
    assert socket.texts == [text(1), text(999)]


async def test_an_older_count_is_never_told_after_a_newer_one() -> None:
    socket = OwnSocket()
    counts = writer(socket)
    counts.begin(count(5))
    assert not counts.offer(count(5))
    assert not counts.offer(count(4))
    assert counts.offer(count(1, user_key=2))
    assert socket.texts == [text(5), text(1)]


async def test_a_count_that_came_before_the_first_one_is_the_first() -> None:
    socket = OwnSocket()
    counts = writer(socket)
    counts.offer(count(3))
    assert socket.texts == []
    counts.begin(count(2))
    assert socket.texts == [text(3)]


async def test_a_peer_that_never_reads_ends_the_connection_once() -> None:
    socket, broken = OwnSocket(), list[Exception]()
    counts = writer(socket, timeout=0.01, broken=broken.append)
    counts.begin(count(1))
    socket.writable.clear()
    counts.offer(count(2))
    await eventually(lambda: broken)
    counts.offer(count(3))
    counts.repeat()
    assert counts.closed
    assert [type(error) for error in broken] == [SlowReader]
    assert socket.texts == [text(1)]


async def test_a_heartbeat_repeats_the_newest_count() -> None:
    socket = OwnSocket()
    counts = writer(socket)
    counts.begin(count(1))
    counts.repeat()
    assert socket.texts == [text(1), text(1)]


async def test_a_page_is_not_built_for_a_peer_that_does_not_read() -> None:
    socket = OwnSocket()
    pages = writer(socket, timeout=0.01)
    socket.writable.clear()
    with pytest.raises(SlowReader):
        await pages.ready()
    await pages.close(1000, "")
    assert socket.aborted


# ── another server ────────────────────────────────────────────────────────────────────────────────────────


async def test_under_another_server_one_send_follows_the_other() -> None:
    socket = ForeignSocket()
    counts = writer(socket)
    socket.writable.clear()
    counts.begin(count(1))
    for version in range(2, 1000):
        counts.offer(count(version))
    socket.writable.set()
    await eventually(lambda: socket.texts[-1:] == [text(999)])
    assert socket.texts == [text(1), text(999)]


async def test_an_answer_waits_for_the_count_that_is_being_sent() -> None:
    socket = ForeignSocket()
    both = writer(socket)
    socket.writable.clear()
    both.begin(count(1))
    answer = asyncio.create_task(both.answer("page"))
    await eventually(lambda: socket.under_way == 1)
    both.offer(count(2))
    socket.writable.set()
    await asyncio.wait_for(answer, PATIENCE)
    await eventually(lambda: both.up_to_date and socket.under_way == 0)
    assert sorted(socket.texts) == sorted([text(1), text(2), "page"])
    assert socket.texts.index(text(1)) < socket.texts.index(text(2))


@pytest.mark.parametrize("at_once", [True, False], ids=["when called", "when awaited"])
async def test_a_send_that_fails_is_the_last_and_is_told_once(at_once: bool) -> None:
    error, told = ValueError("of a host's middleware"), list[Exception]()
    broken = Broken(error, at_once=at_once)
    counts = writer(broken, broken=told.append)
    counts.begin(count(1))
    await eventually(lambda: told)
    counts.offer(count(2))
    counts.repeat()
    await counts.close(1011, "")
    assert told == [error]
    assert broken.texts == ["1011"]


# ── both: answers, the end, cancellation ──────────────────────────────────────────────────────────────────


async def test_counts_that_come_during_an_answer_follow_it_as_one() -> None:
    server = OwnSocket()
    both = writer(server)
    both.begin(count(1))
    server.writable.clear()
    answer = asyncio.create_task(both.answer("page"))
    await eventually(lambda: server.under_way == 1)
    both.offer(count(2))
    both.offer(count(3))
    both.repeat()
    server.writable.set()
    await answer
    assert server.texts == [text(1), "page", text(3)]


async def test_an_answer_that_takes_too_long_is_the_last() -> None:
    server = OwnSocket()
    both = writer(server, timeout=0.01)
    both.begin(count(1))
    server.writable.clear()
    with pytest.raises(SlowReader):
        await both.answer("page")
    both.offer(count(2))
    await both.close(4408, "")
    server.writable.set()
    assert server.aborted
    assert server.texts == [text(1)]


@pytest.mark.parametrize("waiting", [True, False], ids=["behind a count", "alone"])
async def test_a_goodbye_that_nobody_reads_ends_in_one_deadline(
    waiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one for the count before it and another for itself."""
    passed = time_that_jumps(monkeypatch)
    server = OwnSocket()
    both = writer(server, timeout=0.5)
    both.begin(count(1))
    server.writable.clear()
    if waiting:
        both.offer(count(2))
    await both.close(1012, "")
    assert passed() == pytest.approx(0.5)
    assert server.aborted
    assert server.texts == [text(1)]


async def test_a_goodbye_follows_what_is_being_sent() -> None:
    server = OwnSocket()
    both = writer(server)
    both.begin(count(1))
    server.writable.clear()
    both.offer(count(2))
    goodbye = asyncio.create_task(both.close(1012, ""))
    await asyncio.sleep(0)
    server.writable.set()
    await goodbye
    both.offer(count(3))
    assert server.texts == [text(1), text(2), "1012"]
    assert not server.aborted


async def test_a_cancelled_answer_leaves_the_way_free() -> None:
    server = OwnSocket()
    both = writer(server)
    both.begin(count(1))
    server.writable.clear()
    answer = asyncio.create_task(both.answer("page"))
    await eventually(lambda: server.under_way == 1)
    both.offer(count(2))
    answer.cancel()
    await asyncio.wait([answer])
    server.writable.set()
    await both.close(1012, "")
    assert server.texts == [text(1), text(2), "1012"]


async def test_a_hosts_timeout_around_send_strikes_the_send_alone() -> None:
    """It belongs to the task that sends, never to the one that offered a count."""
    foreign = ThroughTimeout()
    counts = writer(foreign)
    foreign.writable.clear()
    counts.begin(count(1))
    await eventually(lambda: counts.closed)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("own", [True, False], ids=["own server", "foreign server"])
@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_events(seed: int, own: bool) -> None:
    """Counts rise, answers come in order, sends follow one another, and the last count is the newest."""
    chance, server = random.Random(seed), OwnSocket() if own else ForeignSocket()
    both = writer(server)
    both.begin(count(1))
    version, asked = 1, 0
    answering: asyncio.Task[None] | None = None
    for _ in range(300):
        match chance.randrange(6):
            case 0 | 1:
                version += 1
                both.offer(count(version))
                both.offer(count(chance.randint(1, version)))
            case 2:
                server.writable.clear()
            case 3:
                server.writable.set()
            case 4:
                both.repeat()
            case 5 if answering is None or answering.done():
                asked += 1
                answering = asyncio.create_task(both.answer(f"page {asked}"))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    server.writable.set()
    await eventually(lambda: text(version) in server.texts and server.under_way == 0)
    await eventually(lambda: answering is None or answering.done())
    counts = [int(sent.rpartition(":")[2][:-1]) for sent in server.texts if not sent.startswith("page")]
    assert counts == sorted(counts)
    assert counts[-1] == version
    assert [sent for sent in server.texts if sent.startswith("page")] == [
        f"page {i}" for i in range(1, asked + 1)
    ]


# ── counts of more than the unseen ────────────────────────────────────────────────────────────────────────


def numbers(version: int, *, user_key: int = 1) -> tuple[Counts, str]:
    return Counts(user_key, version), f"counts {user_key}.{version}"


async def test_counts_follow_the_count_that_is_due_too() -> None:
    socket = OwnSocket()
    both = writer(socket)
    both.ask_counts()
    assert not both.offer_counts(*numbers(1))
    assert socket.texts == [], "nothing before the first count"
    both.begin(count(1))
    assert socket.texts == [text(1), "counts 1.1"]
    socket.writable.clear()
    both.offer(count(2))
    assert both.offer_counts(*numbers(2))
    assert both.offer_counts(*numbers(3)), "values may be skipped"
    both.offer(count(3))
    socket.writable.set()
    await eventually(lambda: both.up_to_date)
    assert socket.texts[2:] == [text(3), "counts 1.3"]


@pytest.mark.parametrize("foreign", [False, True])
async def test_older_counts_are_never_told_also_after_asking_again(foreign: bool) -> None:
    socket = ForeignSocket() if foreign else OwnSocket()
    both = writer(socket)
    both.begin(count(1))
    both.ask_counts()
    assert [both.offer_counts(*numbers(version)) for version in (5, 5, 4, 6)] == [False, False, False, True]
    both.ask_counts()
    assert not both.offer_counts(*numbers(5)), "older than what was told before it asked again"
    assert not both.offer_counts(*numbers(6)), "an answer, and no news"
    assert both.offer_counts(*numbers(1, user_key=2)), "the user came back after an erasure"
    assert not both.offer_counts(*numbers(9))
    await eventually(lambda: socket.texts[-1:] == ["counts 2.1"] and socket.under_way == 0)
    told = [text for text in socket.texts if text.startswith("counts")]
    assert told == sorted(told)
    assert socket.texts[0] == text(1)


async def test_counts_for_a_peer_that_has_gone_are_not_sent() -> None:
    socket = OwnSocket()
    gone = writer(socket)
    gone.begin(count(1))
    gone.ask_counts()
    gone.peer_gone()
    gone.offer_counts(*numbers(1))
    assert socket.texts == [text(1)]


@pytest.mark.parametrize("at_once", [True, False])
async def test_counts_that_cannot_be_sent_break_the_connection(at_once: bool) -> None:
    errors: list[Exception] = []
    socket = ForeignSocket()
    both = writer(socket, broken=errors.append)
    both.begin(count(1))
    await eventually(lambda: socket.texts == [text(1)] and socket.under_way == 0)
    both._transport = Broken(OSError("gone"), at_once=at_once)
    both.ask_counts()
    both.offer_counts(*numbers(1))
    await eventually(lambda: [type(error) for error in errors] == [OSError])
    both.offer_counts(*numbers(2))
    assert len(errors) == 1, "nothing is sent any more"


async def test_counts_in_any_order_end_on_the_newest() -> None:
    """A peer that reads now and then, counts from several reads, and a peer that asks again."""
    for seed in range(20):
        random.seed(seed)
        socket = OwnSocket()
        both = writer(socket)
        both.begin(count(0))
        both.ask_counts()
        versions = random.sample(range(1, 30), 20)
        for version in versions:
            random.choice((socket.writable.set, socket.writable.clear))()
            both.offer_counts(*numbers(version))
            both.offer(count(version))
            await asyncio.sleep(0)
        socket.writable.set()
        await eventually(lambda: both.up_to_date and socket.under_way == 0)  # noqa: B023
        told = [int(text.partition(".")[2]) for text in socket.texts if text.startswith("counts")]
        assert told == sorted(set(told))
        assert told[-1] == max(versions)
