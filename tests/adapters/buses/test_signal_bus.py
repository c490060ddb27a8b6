"""The bus between machines on a broker in memory, by a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import pytest

from pns.adapters.buses.interest import channel_of
from pns.adapters.buses.signal_bus import (
    AWAY,
    CANARY_SECONDS,
    CHUNK,
    EVERYBODY,
    MISSED_CANARIES,
    MOST_BACKOFF_SECONDS,
    MOST_WAITING,
    SignalBus,
    _pause,
)
from pns.adapters.buses.wire import Heard, Hopeless, Unsendable, WireError
from pns.errors import SettingsError
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.adapters.buses.conftest import Ear
from tests.engine import turns


class MemoryWire:
    """A broker of one client. `deaf`: publishes, and delivers nothing; `gate` holds up subscribing."""

    interests = True
    max_bytes = 1_000

    def __init__(self) -> None:
        self.connections = 0
        self.closed = 0
        self.subscribed: list[str] = []
        self.unsubscribed: list[str] = []
        self.published: list[tuple[str, str]] = []
        self.refusing = False
        self.deaf = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._heard: Heard = lambda channel, text: None
        self._broken = asyncio.Event()

    async def connect(self, heard: Heard) -> None:
        if self.refusing:
            raise WireError("nobody there")
        self._heard = heard
        self._broken.clear()
        self.connections += 1
        self.subscribed.clear()

    async def close(self) -> None:
        self.closed += 1

    async def listen(self) -> None:
        await self._broken.wait()
        raise WireError("it broke")

    def break_(self) -> None:
        self._broken.set()

    async def subscribe(self, channels: Collection[str]) -> None:
        await self.gate.wait()
        self.subscribed.extend(channels)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        self.unsubscribed.extend(channels)

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        self.published.extend(messages)
        if not self.deaf:
            for channel, text in messages:
                self.arrive(channel, text)

    def arrive(self, channel: str, text: str) -> None:
        if channel in self.subscribed:
            self._heard(channel, text)

    @property
    def hints(self) -> list[tuple[str, str]]:
        """What was published but for canaries."""
        return [message for message in self.published if message[1]]


@pytest.fixture
def wire() -> MemoryWire:
    return MemoryWire()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def new_bus(wire: MemoryWire, clock: FakeClock, metrics: Metrics) -> AsyncIterator[SignalBus]:
    """Not started yet."""
    bus = SignalBus(wire, clock=clock, metrics=metrics, patience_seconds=0.5)
    yield bus
    await bus.stop()


@pytest.fixture
async def bus(new_bus: SignalBus, ear: Ear, clock: FakeClock) -> SignalBus:
    await new_bus.start(ear)
    await clock.until_sleeping()
    await turns()
    return new_bus


def losses(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("pns_bus_losses_total")


async def test_the_first_line_tells_that_anybody_may_have_changed(bus: SignalBus, ear: Ear) -> None:
    assert ear.told == [None]


async def test_as_long_as_canaries_come_back_the_line_stays(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock
) -> None:
    for _ in range(5 * MISSED_CANARIES):
        clock.advance(CANARY_SECONDS)
        await clock.until_sleeping()
        await turns()
    assert (bus.status(), wire.connections) == (None, 1)


async def test_a_node_that_stood_still_keeps_its_line(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, metrics: Metrics
) -> None:
    """It has heard nothing meanwhile, which says nothing of the broker."""
    clock.advance(10 * MISSED_CANARIES * CANARY_SECONDS)
    await clock.until_sleeping()
    await turns()
    assert (bus.status(), wire.connections, losses(metrics)) == (None, 1, 0)


async def test_a_line_that_carries_nothing_is_given_up(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, metrics: Metrics, ear: Ear
) -> None:
    wire.deaf = True
    for number in range(MISSED_CANARIES):
        assert bus.status() is None, number
        clock.advance(CANARY_SECONDS)
        await turns()
    assert bus.status() == AWAY
    assert losses(metrics) == 1
    wire.deaf = False
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert (bus.status(), wire.connections, ear.told) == (None, 2, [None, None])


async def test_a_new_line_is_there_when_it_has_carried_something(
    new_bus: SignalBus, wire: MemoryWire, clock: FakeClock, metrics: Metrics, ear: Ear
) -> None:
    """Such as through a pooler that takes every LISTEN and passes none on."""
    wire.deaf = True
    await new_bus.start(ear)
    async with asyncio.timeout(10):
        while wire.connections < 3:
            assert (new_bus.status() is None, ear.told) == (False, [])
            clock.advance(MOST_BACKOFF_SECONDS)
            await turns()
        wire.deaf = False
        while new_bus.status() is not None:
            clock.advance(MOST_BACKOFF_SECONDS)
            await turns()
    assert (losses(metrics), ear.told) == (0, [None])


async def test_after_a_break_everything_is_subscribed_before_anybody_hears_of_it(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, ear: Ear
) -> None:
    await bus.join("ann")
    wire.gate.clear()
    wire.break_()
    await turns()
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    await bus.join("bob")
    assert (wire.connections, ear.told) == (2, [None])
    wire.gate.set()
    await ear.until(lambda: len(ear.told) == 2)
    assert {channel_of("ann"), channel_of("bob"), EVERYBODY} <= set(wire.subscribed)


async def test_a_broker_that_does_not_answer_is_not_waited_for(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, ear: Ear
) -> None:
    """Nor does a new connection wait; its user is compared again when the answer is there."""
    wire.gate.clear()
    await bus.join("ann")
    assert bus.status() == AWAY
    assert ear.told == [None]


async def test_who_joined_late_is_told_of_once_the_broker_delivers(
    wire: MemoryWire, clock: FakeClock, metrics: Metrics, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.buses.signal_bus.JOIN_SECONDS", 0.01)
    bus = SignalBus(wire, clock=clock, metrics=metrics)
    await bus.start(ear)
    wire.gate.clear()
    await bus.join("ann")
    assert ear.users == set()
    wire.gate.set()
    await ear.hears("ann")
    await bus.stop()


async def test_joins_that_come_together_share_one_question(bus: SignalBus, wire: MemoryWire) -> None:
    await asyncio.gather(*(bus.join("ann") for _ in range(10)))
    await bus.join("ann")
    assert wire.subscribed.count(channel_of("ann")) == 1


async def test_who_comes_back_at_once_is_never_unsubscribed(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock
) -> None:
    await bus.join("ann")
    bus.leave("ann")
    await bus.join("ann")
    clock.advance(CANARY_SECONDS)
    await turns()
    assert wire.unsubscribed == []
    bus.leave("ann")
    clock.advance(CANARY_SECONDS)
    await turns()
    assert wire.unsubscribed == [channel_of("ann")]


async def test_who_left_before_the_broker_was_asked_stays_unsubscribed(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock
) -> None:
    wire.gate.clear()
    first = asyncio.create_task(bus.join("ann"))
    await turns()  # the broker is asked for Ann, and takes its time
    second = asyncio.create_task(bus.join("bob"))
    await turns()
    second.cancel()
    bus.leave("bob")
    wire.gate.set()
    await first
    clock.advance(CANARY_SECONDS)
    await turns()
    assert channel_of("bob") not in wire.subscribed
    await bus.join("bob")
    assert channel_of("bob") in wire.subscribed


async def test_hints_that_wait_are_one_for_each_user(
    new_bus: SignalBus, wire: MemoryWire, clock: FakeClock, ear: Ear
) -> None:
    wire.refusing = True
    await new_bus.start(ear)
    for _ in range(1_000):
        new_bus.signal(["ann"])
    wire.refusing = False
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert len(wire.hints) == 1


async def test_too_many_hints_that_wait_become_one(
    new_bus: SignalBus, wire: MemoryWire, clock: FakeClock, ear: Ear
) -> None:
    wire.refusing = True
    await new_bus.start(ear)
    for number in range(100_000):
        new_bus.signal([f"user-{number}"])
    assert len(new_bus._waiting) == 0
    wire.refusing = False
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert [channel for channel, _ in wire.hints] == [EVERYBODY]
    new_bus.signal(["ann"])
    await turns()
    assert wire.hints[-1][0] == channel_of("ann")


async def test_hints_that_a_break_cut_short_are_sent_again(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(messages: Collection[tuple[str, str]]) -> None:
        raise WireError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(wire, "publish", breaks)
        bus.signal([f"user-{number}" for number in range(CHUNK + 1)])
        await turns()
        assert bus.status() == AWAY
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert len(wire.hints) == CHUNK + 1


def dropped(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("pns_hints_total", {"way": "dropped"})


def refuses(wire: MemoryWire, user_id: str, error: Exception) -> Callable[..., Awaitable[None]]:
    """A broker that raises `error` for each call with a hint of `user_id`, and takes the others."""
    publish = wire.publish

    async def publish_some(messages: Collection[tuple[str, str]]) -> None:
        if any(user_id in text for _, text in messages):
            raise error
        await publish(messages)

    return publish_some


async def test_a_hint_that_is_refused_is_dropped_and_keeps_no_other_back(
    bus: SignalBus,
    wire: MemoryWire,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(wire, "publish", refuses(wire, "ann", Unsendable("not this one")))
    for number in range(1, 4):
        bus.signal(["ann", "bob", "cid"])
        await turns(30)
        assert dropped(metrics) == number
    sent = [text for _, text in wire.hints]
    assert sum("bob" in text for text in sent) == sum("cid" in text for text in sent) == 3
    assert (bus.status(), wire.connections, losses(metrics)) == (None, 1, 0)
    assert caplog.text.count("a hint that the bus does not take is dropped: not this one") == 1


async def test_a_hint_that_breaks_the_line_breaks_the_line_twice_at_most(
    bus: SignalBus, wire: MemoryWire, metrics: Metrics, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "publish", refuses(wire, "ann", WireError("it hung up")))
    bus.signal(["ann", "bob"])
    await turns(30)
    assert bus.status() == AWAY
    for _ in range(3):
        clock.advance(MOST_BACKOFF_SECONDS)
        await turns(30)
    assert bus.status() is None
    assert losses(metrics) == 2
    assert dropped(metrics) == 1
    assert any("bob" in text for _, text in wire.hints)


async def test_a_hint_that_is_no_text_is_dropped(bus: SignalBus, wire: MemoryWire, metrics: Metrics) -> None:
    bus.signal(["\ud800", "bob"])
    await turns(30)
    assert dropped(metrics) == 1
    assert [channel for channel, _ in wire.hints] == [channel_of("bob")]
    assert bus.status() is None


async def test_hints_in_doubt_are_bounded(
    bus: SignalBus, wire: MemoryWire, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks that follow one another leave no more hints behind than a long one."""
    with monkeypatch.context() as patch:
        patch.setattr(wire, "publish", refuses(wire, "user", WireError("it hung up")))
        bus.signal([f"user-{number}" for number in range(CHUNK)])
        await turns(30)
    bus.signal([f"user-{number}" for number in range(CHUNK, MOST_WAITING + 1)])
    wire.published.clear()
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns(30)
    assert [channel for channel, _ in wire.hints] == [EVERYBODY]


async def test_what_waiting_cannot_mend_is_raised_at_the_start(
    new_bus: SignalBus, wire: MemoryWire, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(heard: Heard) -> None:
        raise Hopeless("Correct bus.url.")

    monkeypatch.setattr(wire, "connect", connect)
    with pytest.raises(SettingsError, match=r"Correct bus\.url\."):
        await new_bus.start(ear)
    assert wire.closed > 0


async def test_a_librarys_surprise_is_logged_and_counted_and_over(
    bus: SignalBus,
    wire: MemoryWire,
    clock: FakeClock,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def surprises(messages: Collection[tuple[str, str]]) -> None:
        raise KeyError("what?")

    with monkeypatch.context() as patch:
        patch.setattr(wire, "publish", surprises)
        bus.signal(["ann"])
        await turns()
    assert bus.status() == AWAY
    assert metrics.registry.get_sample_value("pns_loop_errors_total", {"loop": "bus"}) == 1
    assert "a turn of the loop failed" in caplog.text
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert bus.status() is None


async def test_a_cancel_that_a_library_loses_stops_it_all_the_same(
    bus: SignalBus, wire: MemoryWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def deaf_to_cancels(messages: Collection[tuple[str, str]]) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    monkeypatch.setattr(wire, "publish", deaf_to_cancels)
    bus.signal(["ann"])
    await asked.wait()
    async with asyncio.timeout(60):
        await bus.stop()


async def test_while_it_is_away_it_is_said_once(
    new_bus: SignalBus, wire: MemoryWire, clock: FakeClock, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wire.refusing = True
    await new_bus.start(ear)
    for _ in range(5):
        clock.advance(MOST_BACKOFF_SECONDS)
        await turns()
    assert [record.getMessage() for record in caplog.records] == ["the bus is away: nobody there"]
    wire.refusing = False
    clock.advance(MOST_BACKOFF_SECONDS)
    await turns()
    assert caplog.records[-1].getMessage() == "the bus is there"


async def test_a_broker_that_answers_nothing_is_said_to(
    bus: SignalBus, wire: MemoryWire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def mute(messages: Collection[tuple[str, str]]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(wire, "publish", mute)
    bus.signal(["ann"])
    async with asyncio.timeout(10):
        while bus.status() is None:
            await turns()
    assert [record.getMessage() for record in caplog.records] == ["the bus is away: it does not answer"]


async def test_each_line_that_ended_is_let_go_of(bus: SignalBus, wire: MemoryWire, clock: FakeClock) -> None:
    for _ in range(3):
        wire.break_()
        await turns()
        clock.advance(MOST_BACKOFF_SECONDS)
        await turns()
    await bus.stop()
    assert (wire.connections, wire.closed) == (4, 4)


def test_pauses_grow_to_a_bound_and_are_spread_from_the_first_on() -> None:
    most = [_pause(attempts, lambda least, most: most) for attempts in range(2_000)]
    assert most == sorted(most)
    assert most[-1] == MOST_BACKOFF_SECONDS
    assert _pause(0, lambda least, most: most / least) >= 10
    assert min(_pause(0) for _ in range(100)) > 0
