"""The outlet on PNS's own socket and on a foreign one: newest wins, one send at a time, nothing piles up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pns.outlet import Message, Outlet, SlowReader
from pns.store import State
from pns.testing.clock import FakeClock
from tests.harness import eventually

PATIENCE = 5.0


def count(version: int, *, user_key: int = 1) -> State:
    """A state whose count is its version, so that texts tell which one was sent."""
    return State(user_key=user_key, version=version, unseen=version)


def text(version: int) -> str:
    return f'{{"newNotificationCountChanged":{version}}}'


class OwnSocket:
    """The server's side of a peer that reads or does not."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.texts: list[str] = []
        self.aborted = False

    def send_text(self, text: str) -> None:
        assert self.writable.is_set(), "sent to a socket that takes nothing"
        self.texts.append(text)

    def abort(self) -> None:
        self.aborted = True


class ForeignSend:
    """A server's `send` that waits for `reads`."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.texts: list[str] = []
        self.under_way = 0

    async def __call__(self, message: Message) -> None:
        self.under_way += 1
        assert self.under_way == 1, "two sends at once"
        await self.reads.wait()
        self.texts.append(message["text"])
        self.under_way -= 1


def outlet(send: Any, socket: OwnSocket | None, *, timeout: float = PATIENCE, slow: Any = None) -> Outlet:
    return Outlet(
        send,
        socket=socket,
        in_place=socket is not None,
        timeout=timeout,
        clock=FakeClock(),
        on_slow=slow or (lambda: None),
    )


async def never(message: Message) -> None:
    raise AssertionError("a count took the way of an answer")


# ── PNS's own server ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_count_is_on_its_way_when_offer_returns() -> None:
    socket = OwnSocket()
    counts = outlet(never, socket)
    counts.begin(count(1))
    counts.offer(count(2))
    assert socket.texts == [text(1), text(2)]


async def test_whoever_does_not_read_is_told_the_newest_count_alone() -> None:
    socket = OwnSocket()
    counts = outlet(never, socket)
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
    counts = outlet(never, socket)
    counts.begin(count(5))
    assert not counts.offer(count(5))
    assert not counts.offer(count(4))
    assert counts.offer(count(1, user_key=2))
    assert socket.texts == [text(5), text(1)]


async def test_a_count_that_came_before_the_first_one_is_the_first() -> None:
    socket = OwnSocket()
    counts = outlet(never, socket)
    counts.offer(count(3))
    assert socket.texts == []
    counts.begin(count(2))
    assert socket.texts == [text(3)]


async def test_a_peer_that_never_reads_ends_the_connection_once() -> None:
    socket, slow = OwnSocket(), list[bool]()
    counts = outlet(never, socket, timeout=0.01, slow=lambda: slow.append(True))
    counts.begin(count(1))
    socket.writable.clear()
    counts.offer(count(2))
    await eventually(lambda: slow)
    counts.offer(count(3))
    counts.repeat()
    assert counts.closed
    assert slow == [True]
    assert socket.texts == [text(1)]


async def test_a_heartbeat_repeats_the_newest_count() -> None:
    socket = OwnSocket()
    counts = outlet(never, socket)
    counts.begin(count(1))
    counts.repeat()
    assert socket.texts == [text(1), text(1)]


async def test_a_page_is_not_built_for_a_peer_that_does_not_read() -> None:
    socket = OwnSocket()
    pages = outlet(never, socket, timeout=0.01)
    socket.writable.clear()
    with pytest.raises(SlowReader):
        await pages.ready()
    await pages.close(1000, "")
    assert socket.aborted


# ── another server ────────────────────────────────────────────────────────────────────────────────────────


async def test_under_another_server_one_send_follows_the_other() -> None:
    send = ForeignSend()
    counts = outlet(send, None)
    send.reads.clear()
    counts.begin(count(1))
    for version in range(2, 1000):
        counts.offer(count(version))
    send.reads.set()
    await eventually(lambda: send.texts[-1:] == [text(999)])
    assert send.texts == [text(1), text(999)]


async def test_an_answer_waits_for_the_count_that_is_being_sent() -> None:
    send = ForeignSend()
    both = outlet(send, None)
    send.reads.clear()
    both.begin(count(1))
    answer = asyncio.create_task(both.answer("page"))
    await eventually(lambda: send.under_way == 1)
    both.offer(count(2))
    send.reads.set()
    await asyncio.wait_for(answer, PATIENCE)
    await eventually(lambda: both.up_to_date and send.under_way == 0)
    assert sorted(send.texts) == sorted([text(1), text(2), "page"])
    assert send.texts.index(text(1)) < send.texts.index(text(2))


async def test_a_send_that_fails_closes_the_outlet() -> None:
    async def broken(message: Message) -> None:
        raise OSError("the peer is gone")

    counts = outlet(broken, None)
    counts.begin(count(1))
    await eventually(lambda: counts.closed)
