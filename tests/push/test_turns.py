"""The turns of a dispatcher: much shares a turn, and a turn that took long is followed by a long pause."""

from __future__ import annotations

import asyncio

import pytest

from pns.errors import Unavailable
from pns.push.turns import AWAY_SECONDS, GATHER_SECONDS, MOST_REST_SECONDS, Turns
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock

POLL_SECONDS = 5.0


class Work:
    """A turn that takes `seconds`, and then raises `error` if there is one."""

    def __init__(self, clock: FakeClock, seconds: float, error: Exception | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._error = error
        self.turns = 0

    async def turn(self) -> float:
        self.turns += 1
        self._clock.advance(self._seconds)
        if self._error is not None:
            raise self._error
        return POLL_SECONDS


@pytest.mark.parametrize(
    ("seconds", "rest", "least"),
    [
        (0.0, 1.0, GATHER_SECONDS),
        (0.003, 2.0, GATHER_SECONDS),
        (0.3, 0.0, GATHER_SECONDS),
        (0.3, 1.0, 0.3),
        (0.3, 2.0, 0.6),
        (3.0, 2.0, 6.0),
        (900.0, 1.0, MOST_REST_SECONDS),
        (30.0, 2.0, MOST_REST_SECONDS),
    ],
)
async def test_news_wait_for_the_rest_of_a_turn(
    seconds: float, rest: float, least: float, clock: FakeClock, metrics: Metrics
) -> None:
    work = Work(clock, seconds)
    turns = Turns("x", work.turn, away=lambda *_: None, clock=clock, metrics=metrics, rest=rest)
    turns.start()
    await _settled()
    assert work.turns == 1
    turns.news.set()
    clock.advance(least - 0.001)
    await _settled()
    assert work.turns == 1
    clock.advance(0.002)
    await _settled()
    assert work.turns == 2
    assert await turns.stop()


async def test_a_turn_that_failed_is_followed_by_no_rest(clock: FakeClock, metrics: Metrics) -> None:
    work = Work(clock, 30.0, Unavailable("away"))
    turns = Turns("x", work.turn, away=lambda *_: None, clock=clock, metrics=metrics, rest=2.0)
    turns.start()
    for step, done in ((0.0, 1), (GATHER_SECONDS, 1), (AWAY_SECONDS - GATHER_SECONDS, 2)):
        clock.advance(step)
        await _settled()
        assert work.turns == done
    assert await turns.stop()


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
