"""Connections: kept, passed over, dropped, and never one answer for another request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from pns.runtime.http1 import Answer, Broken, ByHead, Pool, Unreachable
from pns.runtime.http1.dial import Dial
from pns.runtime.http1.place import Server

from .peer import Peer, Visit, answer, peer

MOST = 1000


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(Dial(None), idle=4, keep_seconds=60)
    yield pool
    pool.close()


async def ask(pool: Pool, server: Peer) -> Answer:
    return await pool.exchange(server.place, server.request, most=MOST)


async def test_a_connection_is_used_again(pool: Pool) -> None:
    async with peer() as server:
        for _ in range(5):
            assert (await ask(pool, server)).body == b"hi"
        assert [len(visit.requests) for visit in server.visits] == [5]


async def test_requests_at_once_have_connections_of_their_own_and_few_are_kept(pool: Pool) -> None:
    async with peer() as server:
        for _ in range(3):
            await asyncio.gather(*(ask(pool, server) for _ in range(10)))
        assert len(server.visits) == 10 + 6 + 6, "four of ten are kept"


@pytest.mark.parametrize("headers", [(b"connection: close",), (b"Connection: Close",)])
async def test_the_last_answer_of_a_connection(pool: Pool, headers: tuple[bytes, ...]) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer(b"hi", *headers))
        await visit.ended()

    async with peer(serve) as server:
        for _ in range(3):
            assert (await ask(pool, server)).body == b"hi"
        assert [len(visit.requests) for visit in server.visits] == [1, 1, 1]


async def test_a_body_that_the_end_completes(pool: Pool) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 100)
        visit.close()

    async with peer(serve) as server:
        assert (await ask(pool, server)).body == b"a" * 100


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\n", answer(b"hi").replace(b": 2", b": 9")])
async def test_an_answer_that_is_cut_off(pool: Pool, words: bytes) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(words)
        visit.close()

    async with peer(serve) as server:
        with pytest.raises(Broken):
            await ask(pool, server)
        assert len(server.visits) == 1, "a request that was sent is never sent again"


async def test_a_body_that_comes_after_its_answer_is_nobody_s(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", 0.0)
    go = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        if len(server.visits) == 1:
            await visit.say(answer(b"hello").removesuffix(b"llo"))
            await go.wait()
            await visit.say(b"llo" + answer(b"not yours"))
        else:
            await visit.say(answer(b"yours"))

    async with peer(serve) as server:
        first = await pool.exchange(server.place, server.request, most=MOST, by_head=ByHead())
        assert (first.status, first.body, first.cut) == (200, b"he", True)
        go.set()
        assert (await ask(pool, server)).body == b"yours"


async def test_the_moment_for_a_body_ends_with_the_exchange(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next exchange on the connection would be cut."""
    monkeypatch.setattr("pns.runtime.http1.line.MOMENT_SECONDS", 60.0)
    asked = asyncio.Event()

    async def serve(visit: Visit) -> None:
        while True:
            await visit.request()
            asked.set()
            await visit.say(answer(b"hello").removesuffix(b"llo"))
            for _ in range(20):
                await asyncio.sleep(0)
            await visit.say(b"llo")

    async with peer(serve) as server:
        for _ in range(3):
            found = await pool.exchange(server.place, server.request, most=MOST, by_head=ByHead())
            assert (found.body, found.cut) == (b"hello", False)
        (visit,) = server.visits
        assert len(visit.requests) == 3
        asked.clear()
        left = asyncio.create_task(pool.exchange(server.place, server.request, most=MOST, by_head=ByHead()))
        await asked.wait()
        left.cancel()
        await asyncio.wait([left])
        assert left.cancelled()
        assert (await ask(pool, server)).body == b"hello"


async def test_a_connection_that_the_server_ended_is_passed_over(pool: Pool) -> None:
    """Also when the event loop has not heard of the end yet, since it had no turn."""

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer())
        visit.close()

    async with peer(serve) as server:
        for _ in range(20):
            assert (await ask(pool, server)).body == b"hi"
        assert [len(visit.requests) for visit in server.visits] == [1] * 20


@pytest.mark.parametrize("stray", [answer(b"not yours"), b"HTTP/1.1 200 OK\r\n", b"\0"])
async def test_bytes_that_nobody_asked_for_are_no_answer(pool: Pool, stray: bytes) -> None:
    said = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer(b"yours"))
        await asyncio.sleep(0)
        await visit.say(stray)
        said.set()
        await visit.request()
        await visit.say(answer(b"late"))

    async with peer(serve) as server:
        for _ in range(5):
            said.clear()
            assert (await ask(pool, server)).body == b"yours"
            await said.wait()
        assert [len(visit.requests) for visit in server.visits] == [1] * 5


async def test_an_answer_behind_an_answer_is_nobody_s(pool: Pool) -> None:
    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer(b"yours") + answer(b"another's"))
        await visit.ended()

    async with peer(serve) as server:
        for _ in range(3):
            assert (await ask(pool, server)).body == b"yours"
        assert [len(visit.requests) for visit in server.visits] == [1, 1, 1]


async def test_the_answer_of_a_caller_who_left_is_nobody_s(pool: Pool) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        asked.set()
        await go.wait()
        await visit.say(answer(b"%d" % len(server.visits)))
        await visit.ended()

    async with peer(serve) as server:
        left = asyncio.create_task(ask(pool, server))
        await asked.wait()
        left.cancel()
        await asyncio.wait([left])
        go.set()
        assert (await ask(pool, server)).body == b"2"


async def test_connections_without_work_end_by_themselves() -> None:
    ended = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer())
        await visit.ended()
        ended.set()

    pool = Pool(Dial(None), idle=4, keep_seconds=0.05)
    async with peer(serve) as server, asyncio.timeout(10):
        await ask(pool, server)
        await ended.wait()
        await ask(pool, server)
        assert len(server.visits) == 2
    pool.close()


async def test_close_ends_what_is_under_way(pool: Pool) -> None:
    asked = asyncio.Event()

    async def serve(visit: Visit) -> None:
        await visit.request()
        asked.set()
        await visit.ended()

    async with peer(serve) as server:
        waiting = asyncio.create_task(ask(pool, server))
        await asked.wait()
        pool.close()
        pool.close()
        with pytest.raises(Broken):
            await waiting
        with pytest.raises(Broken):
            await ask(pool, server)


async def test_nobody_listens(pool: Pool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = Peer()
        server.port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="ConnectionRefusedError"):
            await ask(pool, server)


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 64 + ".example", "a..b"])
async def test_a_host_without_an_address(pool: Pool, host: str) -> None:
    with pytest.raises(Unreachable):
        await pool.exchange(Peer().place._replace(host=host), b"", most=MOST)


async def test_the_next_address_is_tried_and_no_other() -> None:
    tried: list[str] = []

    async def look_up(server: Server) -> Sequence[str]:
        tried.append(server.host)
        return ["127.0.0.9", "127.0.0.1"]

    pool = Pool(Dial(None, look_up), idle=1, keep_seconds=60)
    async with peer() as server:
        place = server.place._replace(host="shop.example")
        assert (await pool.exchange(place, server.request, most=MOST)).body == b"hi"
        assert (await pool.exchange(place, server.request, most=MOST)).body == b"hi"
    pool.close()
    assert tried == ["shop.example"], "a kept connection needs no look-up"


async def test_servers_share_no_connection(pool: Pool) -> None:
    async with peer() as one, peer() as other:
        for server in (one, other, one):
            await ask(pool, server)
        assert [len(visit.requests) for visit in (*one.visits, *other.visits)] == [2, 1]


async def test_many_at_random_get_their_own_answers(pool: Pool) -> None:
    """Each answer repeats its request's target. Some callers leave, some answers end their connection."""

    async def serve(visit: Visit) -> None:
        while True:
            target = (await visit.request()).split(b" ")[1]
            number = int(target[1:])
            if number % 5 == 0:
                await asyncio.sleep(0.001)
            await visit.say(answer(target, *([b"connection: close"] if number % 7 == 0 else [])))
            if number % 11 == 0:
                await visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")

    async def one(number: int) -> None:
        request = server.request.replace(b"GET / ", b"GET /%d " % number)
        task = asyncio.create_task(pool.exchange(server.place, request, most=MOST))
        if number % 3 == 0:
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return
        found = await task
        assert found.body == b"/%d" % number

    async with peer(serve) as server:
        for start in range(0, 600, 20):
            await asyncio.gather(*map(one, range(start, start + 20)))
