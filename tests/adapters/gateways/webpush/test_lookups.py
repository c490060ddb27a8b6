"""How look-ups share their threads: who waits for whom, who is blamed, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from pns.adapters.gateways.webpush import lookups
from pns.adapters.gateways.webpush.lookups import MOST_OF_DOMAIN, SLOW_SECONDS, Crowded, Lookups, Slow
from pns.testing import FakeClock
from tests.harness.waiting import eventually


class Names:
    """A name server that answers by and by: names with "slow" in them when it is let `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: Counter[str] = Counter()

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked[host] += 1
        if "slow" in host:
            self.go.wait(30)
        return [host]


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.go.set()


def of(names: Names, clock: FakeClock, *, threads: int = 4) -> Lookups:
    return Lookups(names.resolve, threads=threads, clock=clock)


async def held_up(lookups: Lookups, names: Names, *hosts: str) -> list[asyncio.Task[list[str]]]:
    """Look-ups of `hosts` that are under way, each in a thread."""
    tasks = [asyncio.create_task(lookups.addresses(host, 443)) for host in hosts]
    await eventually(lambda: all(names.asked[host] for host in hosts))
    return tasks


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs here hangs until it is let go."""
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 0.05)
    monkeypatch.setattr(lookups, "PLACE_SECONDS", 0.0)


async def test_those_who_ask_for_one_name_share_its_look_up(names: Names, clock: FakeClock) -> None:
    asked = of(names, clock)
    waiting = await held_up(asked, names, *["slow.example"] * 50)
    names.go.set()
    assert await asyncio.gather(*waiting) == [["slow.example"]] * 50
    assert names.asked["slow.example"] == 1
    await asked.addresses("slow.example", 443)
    assert names.asked["slow.example"] == 2, "an answer is not kept"


async def test_who_gives_up_takes_nothing_from_the_others(names: Names, clock: FakeClock) -> None:
    first, second = await held_up(of(names, clock), names, "slow.example", "slow.example")
    first.cancel()
    names.go.set()
    assert await second == ["slow.example"]


async def test_slow_names_hold_up_their_own_domain_alone(
    names: Names, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "PLACE_SECONDS", 0.0)
    asked = of(names, clock, threads=MOST_OF_DOMAIN + 1)
    slow = [f"slow-{number}.evil.example" for number in range(MOST_OF_DOMAIN)]
    waiting = await held_up(asked, names, *slow)
    with pytest.raises(Crowded):
        await asked.addresses("third.other.evil.example.", 443)
    assert await asked.addresses("push.good.test", 443) == ["push.good.test"]
    names.go.set()
    await asyncio.gather(*waiting)
    assert await asked.addresses("third.other.evil.example.", 443)


async def test_the_hosts_of_one_service_follow_each_other(
    names: Names, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "PLACE_SECONDS", 30.0)
    asked = of(names, clock)
    hosts = [f"host-{number}.push.example" for number in range(50)]
    assert await asyncio.gather(*(asked.addresses(host, 443) for host in hosts * 3)) == [
        [h] for h in hosts * 3
    ]


@pytest.mark.usefixtures("hasty")
async def test_a_name_that_took_too_long_is_left_alone_for_a_while(
    names: Names, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = of(names, clock)
    for _ in range(3):
        with pytest.raises(Slow):
            await asked.addresses("slow.example", 443)
    names.go.set()
    with pytest.raises(Slow):
        await asked.addresses("slow.example", 443)
    await eventually(lambda: names.asked["slow.example"] == 1)  # a busy machine is late to run the thread
    clock.advance(SLOW_SECONDS)
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 30.0)
    await eventually(lambda: not asked._under_way)
    assert await asked.addresses("slow.example", 443) == ["slow.example"]
    assert names.asked["slow.example"] == 2


@pytest.mark.usefixtures("hasty")
async def test_a_look_up_that_nobody_waits_for_keeps_its_place(names: Names, clock: FakeClock) -> None:
    asked = of(names, clock)
    for number in range(MOST_OF_DOMAIN):
        with pytest.raises(Slow):
            await asked.addresses(f"slow-{number}.push.example", 443)
    with pytest.raises(Crowded):
        await asked.addresses("brisk.push.example", 443)
    clock.advance(SLOW_SECONDS)
    with pytest.raises(Slow):  # its thread is still on it, and it gets no second one
        await asked.addresses("slow-0.push.example", 443)
    assert names.asked["slow-0.push.example"] == 1


@pytest.mark.usefixtures("hasty")
async def test_who_waited_for_a_thread_is_not_blamed(
    names: Names, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = of(names, clock, threads=1)
    with pytest.raises(Slow):
        await asked.addresses("slow.example", 443)
    for _ in range(2):
        with pytest.raises(Crowded):
            await asked.addresses("push.good.test", 443)
    names.go.set()
    await eventually(lambda: not asked._under_way)
    monkeypatch.setattr(lookups, "LOOKUP_SECONDS", 30.0)
    assert await asked.addresses("push.good.test", 443) == ["push.good.test"]


@pytest.mark.usefixtures("hasty")
async def test_a_slow_name_stays_blamed_while_it_cannot_be_tried(names: Names, clock: FakeClock) -> None:
    """Its circuit would close for nothing."""
    asked = of(names, clock, threads=1)
    with pytest.raises(Slow):
        await asked.addresses("slow.first.test", 443)
    names.go.set()
    await eventually(lambda: not asked._under_way)
    names.go.clear()
    with pytest.raises(Slow):
        await asked.addresses("slow.second.test", 443)
    clock.advance(SLOW_SECONDS)
    with pytest.raises(Slow):
        await asked.addresses("slow.first.test", 443)
    assert names.asked["slow.first.test"] == 1


@pytest.mark.usefixtures("hasty")
async def test_what_is_remembered_is_bounded(
    names: Names, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_SLOW", 2)
    asked = of(names, clock)
    for number in range(4):
        with pytest.raises(Slow):
            await asked.addresses(f"slow.domain-{number}", 443)
    assert list(asked._slow_until) == ["slow.domain-2", "slow.domain-3"]


async def test_after_the_end_nothing_is_looked_up(names: Names, clock: FakeClock) -> None:
    asked = of(names, clock)
    asked.close()
    asked.close()
    for _ in range(10):  # and the room it would have taken is given back
        with pytest.raises(RuntimeError):
            await asked.addresses("push.example", 443)
