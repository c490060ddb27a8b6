"""Turns are shared out by address: a crowd that comes from one address waits for itself alone."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

import pytest

from pns.adapters.authorities.turns import WAITING_BYTES, WEIGHT, Turn, Turns
from pns.contracts.authority import Credentials
from pns.errors import Overloaded

from .backend import Asked, running, until, user_of_cookie
from .conftest import World, cookie
from .test_single_flight import turns as loop_turns


def at(address: str) -> Credentials:
    return Credentials((), ((b"x-forwarded-for", address.encode()),), "device")


class Queue:
    """Takes turns for names, and records in which order they got them."""

    def __init__(self, most: int, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self.room = waiting_bytes
        self.turns = Turns(most, waiting_bytes=waiting_bytes)
        self.served: list[str] = []
        self.held: list[Turn] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, address: str) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._take(name, address))
        await loop_turns(3)

    async def _take(self, name: str, address: str) -> None:
        turn = await self.turns.take(at(address))
        self.served.append(name)
        self.held.append(turn)

    async def go_on(self, count: int) -> None:
        """End that many turns, the oldest first, each when the one before has been given to somebody."""
        for _ in range(count):
            with self.held.pop(0):
                pass
            await loop_turns(3)

    async def end(self) -> None:
        while self.held:
            await self.go_on(1)
        assert len(self.turns) == 0
        assert self.turns._room == self.room


def names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


async def test_eight_others_are_served_before_the_crowd_of_one_address() -> None:
    queue = Queue(4)
    await queue.come(*names("crowd", 1_000), address="192.0.2.1")
    for number in range(8):
        await queue.come(f"other{number}", address=f"198.51.100.{number}")
    assert queue.served == names("crowd", 4)
    await queue.go_on(8)
    assert queue.served[4:] == names("other", 8)
    await queue.end()
    assert queue.served[12:] == [f"crowd{number}" for number in range(4, 1_000)]


async def test_many_addresses_take_turns() -> None:
    queue = Queue(1)
    await queue.come("first", address="192.0.2.99")
    for number, letter in enumerate("abcde"):
        await queue.come(*names(letter, 20), address=f"192.0.2.{number}")
    await queue.end()
    assert queue.served == ["first", *(f"{letter}{round}" for round in range(20) for letter in "abcde")]


async def test_one_address_alone_has_every_turn_and_is_served_in_order() -> None:
    queue = Queue(64)
    await queue.come(*names("tab", 2_000), address="192.0.2.1")
    assert len(queue.served) == 64
    await queue.end()
    assert queue.served == names("tab", 2_000)


async def test_an_address_with_long_calls_does_not_gather_all_turns() -> None:
    """The turn goes to the address that holds the fewest, not just to the next one."""
    queue = Queue(4)
    await queue.come(*names("long", 50), address="192.0.2.1")
    await queue.come(*names("short", 50), address="192.0.2.2")
    await queue.go_on(2)
    assert queue.served[4:] == ["short0", "short1"]
    for _ in range(20):  # two long calls never end; the turns of the short ones come back to these
        turn = queue.held.pop()
        with turn:
            pass
        await loop_turns(3)
    assert set(queue.served[6:]) == {f"short{number}" for number in range(2, 22)}
    await queue.end()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
        ("unix:x", "unix:x", True),
    ],
)
async def test_a_network_of_ipv6_is_one_address(one: str, other: str, same: bool) -> None:
    queue = Queue(1)
    await queue.come("first", address="203.0.113.1")
    await queue.come("a0", "a1", address=one)
    await queue.come("b0", address=other)
    await queue.end()
    assert queue.served[1:] == (["a0", "a1", "b0"] if same else ["a0", "b0", "a1"])


# ── who leaves, and who is one too many ───────────────────────────────────────────────────────────────────


async def test_who_leaves_frees_the_place() -> None:
    queue = Queue(1, waiting_bytes=4 * WEIGHT)
    await queue.come("first", address="192.0.2.1")
    await queue.come("a0", "a1", address="192.0.2.1")
    with pytest.raises(Overloaded):
        await queue.turns.take(at("192.0.2.1"))
    queue.tasks["a0"].cancel()
    await loop_turns()
    await queue.come("a2", address="192.0.2.1")
    await queue.end()
    assert queue.served == ["first", "a1", "a2"]


async def test_a_turn_that_comes_while_its_taker_leaves_goes_on() -> None:
    queue = Queue(1)
    await queue.come("first", "leaves", "stays", address="192.0.2.1")
    with queue.held.pop():
        pass
    queue.tasks["leaves"].cancel()  # the turn is given already, and not taken yet
    await loop_turns()
    assert queue.served == ["first", "stays"]
    await queue.end()


async def test_one_who_left_at_the_same_moment_is_passed_over() -> None:
    queue = Queue(1)
    await queue.come("first", "leaves", "stays", address="192.0.2.1")
    queue.tasks["leaves"].cancel()
    with queue.held.pop():
        pass
    await loop_turns()
    assert queue.served == ["first", "stays"]
    await queue.end()


async def test_one_address_may_keep_half_and_others_still_find_room() -> None:
    queue = Queue(1, waiting_bytes=64 * WEIGHT)
    await queue.come("first", address="192.0.2.1")
    await queue.come(*names("crowd", 40), address="192.0.2.1")
    kept = [name for name, task in queue.tasks.items() if name != "first" and not task.done()]
    assert kept == names("crowd", 32), "the first half; who is turned away is told so at once"
    refused = queue.tasks["crowd39"].exception()
    assert isinstance(refused, Overloaded)
    assert "auth.max_concurrency" in str(refused)
    for number in range(4):
        await queue.come(*names(f"other{number}-", 8), address=f"198.51.100.{number}")
    assert [
        len([n for n in queue.tasks if n.startswith(f"other{i}-") and not queue.tasks[n].done()])
        for i in range(4)
    ] == [8, 8, 8, 4]
    await queue.end()


def test_20_000_pages_behind_one_proxy_wait_together() -> None:
    page = Credentials(((b"cookie", b"x" * 2_000),), at("192.0.2.1").forwarded, "device")
    assert 20_000 * (WEIGHT + sum(map(len, page.headers[0]))) <= WAITING_BYTES // 2


@pytest.mark.parametrize("seed", range(5))
async def test_at_random_no_turn_is_lost_and_none_is_idle(seed: int) -> None:
    rng = random.Random(seed)
    queue = Queue(3)
    for number in range(600):
        await queue.come(f"n{number}", address=f"192.0.2.{rng.randrange(6)}")
        if rng.random() < 0.3:
            rng.choice(list(queue.tasks.values())).cancel()
        if queue.held and rng.random() < 0.8:
            await queue.go_on(1)
        await loop_turns(2)
        waiting = [task for task in queue.tasks.values() if not task.done()]
        assert len(queue.held) == 3 or not waiting
        assert len(queue.held) <= 3
    await queue.end()
    assert all(task.done() for task in queue.tasks.values())
    assert sorted(queue.served) == sorted(n for n, task in queue.tasks.items() if not task.cancelled())


# ── at the login itself ───────────────────────────────────────────────────────────────────────────────────


class Slowly:
    """Answers by the cookie, as many questions as `go` was called for."""

    def __init__(self) -> None:
        self.answers = asyncio.Semaphore(0)

    def go(self, count: int) -> None:
        for _ in range(count):
            self.answers.release()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await self.answers.acquire()
        await user_of_cookie(asked, writer)


async def let_in(tasks: Sequence[asyncio.Task[object]]) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)


async def test_strangers_do_not_keep_others_from_logging_in(world: World) -> None:
    slowly = Slowly()
    async with (
        running(slowly) as backend,
        world.login(backend.url(), max_concurrency=8, timeout_seconds=60) as authority,
    ):
        crowd = [
            asyncio.create_task(authority.login(cookie(f"sid=x{n}", address="192.0.2.66")))
            for n in range(400)
        ]
        await backend.until_asked(8)
        eight: list[asyncio.Task[object]] = [
            asyncio.create_task(authority.login(cookie(f"sid={n}", address=f"198.51.100.{n}")))
            for n in range(8)
        ]
        await loop_turns()
        slowly.go(16)  # those under way, and one round
        await let_in(eight)
        assert sum(task.done() for task in crowd) == 8
        slowly.go(1_000)
        await let_in([*crowd])


async def test_too_many_of_one_address_are_told_so_and_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    slowly = Slowly()
    async with (
        running(slowly) as backend,
        world.login(backend.url(), max_concurrency=1, timeout_seconds=60) as authority,
    ):
        authority._turns = Turns(1, waiting_bytes=8 * 2 * WEIGHT)
        with caplog.at_level(logging.WARNING):
            crowd = [asyncio.create_task(authority.login(cookie(f"sid={n}"))) for n in range(50)]
            await backend.until_asked(1)
            await until(lambda: sum(task.done() for task in crowd) > 0)
        other = asyncio.create_task(authority.login(cookie("sid=other", address="198.51.100.1")))
        slowly.go(100)
        assert (await other).user_id == "other"
        results = await asyncio.gather(*crowd, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Overloaded)]
        assert 0 < len(refused) < 49
        assert refused[0].retry_after > 0
        assert world.outcomes()["turned_away"] == len(refused)
        assert len(caplog.records) == 1
        assert "sid=" not in caplog.text
