"""The circuit breaker, the pace and the waits, by numbers alone."""

from __future__ import annotations

import pytest

from pns.push.circuit import (
    FAILURES,
    MOST_RETRY_AFTER,
    MOST_RETRY_SECONDS,
    MOST_SECONDS,
    RETRY_SECONDS,
    Circuit,
    Circuits,
    Concurrency,
    Pace,
    retry_seconds,
)


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit()
    assert [circuit.failed(now, "503") for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    return circuit


def test_single_failures_do_not_open_it() -> None:
    circuit = Circuit()
    for _ in range(100):
        circuit.failed(0, "503")
        assert not circuit.succeeded()
    assert circuit.wait(0) == 0
    assert circuit.most(10) == 10


def test_several_in_a_row_open_it() -> None:
    circuit = opened()
    assert circuit.wait(0) == 1
    assert circuit.reason == "503"


def test_one_trial_at_a_time() -> None:
    circuit = opened()
    assert circuit.wait(1) == 0
    assert circuit.most(10) == 1
    circuit.try_until(16)
    assert circuit.wait(1) == 15, "nothing else while it is tried"
    assert circuit.wait(16) == 0, "a trial that was lost is followed by another"


def test_a_trial_that_succeeds_closes_it() -> None:
    circuit = opened()
    circuit.try_until(16)
    assert circuit.succeeded()
    assert circuit.wait(1) == 0
    assert circuit.most(10) == 10


def test_failed_trials_are_further_and_further_apart() -> None:
    circuit, now, waits = opened(), 0.0, []
    for _ in range(12):
        waits.append(circuit.wait(now))
        now += waits[-1]
        assert circuit.try_until(now + 15)
        assert not circuit.failed(now, "503", trial=True)
    assert waits == sorted(waits)
    assert waits[-1] == MOST_SECONDS


def test_what_was_under_way_when_it_opened_is_one_trouble() -> None:
    circuit = opened()
    for _ in range(1000):
        assert not circuit.failed(0, "503")
    assert circuit.wait(0) == 1
    circuit.try_until(16)
    assert not circuit.failed(1.5, "503"), "no trial: it was sent before"
    assert circuit.wait(1.5) == 14.5, "the trial is still under way"


def test_a_trial_that_says_nothing_is_followed_by_another() -> None:
    circuit = opened()
    circuit.try_until(16)
    circuit.undecided(trial=False)
    assert circuit.wait(1) == 15
    circuit.undecided(trial=True)
    assert circuit.wait(1) == 0
    assert circuit.most(10) == 1, "it is open still"


def test_the_next_trouble_begins_with_the_shortest_wait() -> None:
    circuit = opened()
    for _ in range(8):
        circuit.try_until(16)
        circuit.failed(0, "503", trial=True)
    assert circuit.succeeded()
    for _ in range(FAILURES):
        circuit.failed(0, "503")
    assert circuit.wait(0) == 1


def test_of_too_many_circuits_those_that_failed_of_late_are_kept() -> None:
    circuits = Circuits(most=8)
    for name in ("", "a", "b", "c", "d", "e", "f", "g"):
        if name not in "ab":
            circuits.take(name).failed(0, name)
        assert circuits.take(name).reason == ("" if name in "ab" else name)
    for _ in range(FAILURES):
        circuits.take("").failed(0, "all")
    assert (len(circuits), circuits.open) == (8, 1)
    assert circuits.take("new").reason == ""
    assert len(circuits) == 6
    assert [circuits.take(name).reason for name in ("", "d", "e", "f", "g")] == ["all", "d", "e", "f", "g"]
    assert circuits.open == 1


def test_room_is_each_ones_own() -> None:
    concurrency = Concurrency(2)
    for name in "aab":
        assert concurrency.wait(name, 0) == 0
        concurrency.enter(name, 0)
    assert concurrency.wait("a", 0) == RETRY_SECONDS
    assert concurrency.wait("b", 0) == 0
    concurrency.leave("a")
    assert concurrency.wait("a", 0) == 0


def test_who_finds_no_room_waits_as_long_as_there_was_none() -> None:
    concurrency = Concurrency(1)
    concurrency.enter("a", 100)
    assert concurrency.wait("a", 107) == 7
    concurrency.leave("a")
    concurrency.enter("a", 200)
    assert concurrency.wait("a", 203) == 3


def test_what_the_service_asks_for_is_waited_for_if_it_is_not_absurd() -> None:
    circuit = opened()
    circuit.failed(0, "429", retry_after=600)
    assert circuit.wait(0) == 600
    circuit.failed(0, "429", retry_after=1e9)
    assert circuit.wait(0) == MOST_RETRY_AFTER


@pytest.mark.parametrize("rate", [0.5, 3, 10, 1000])
def test_the_pace_is_kept_over_time(rate: float) -> None:
    pace, went, now = Pace(rate), 0, 0.0
    while now < 20:
        if most := pace.most(now):
            pace.took(most, now)
            went += most
        now += max(0.01, pace.wait(now))
    assert rate * 20 <= went <= rate * 20.2 + 2


def test_a_pause_is_not_made_up_for() -> None:
    pace = Pace(10)
    assert pace.most(100) <= 2


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_waits_double_and_end(fraction: float) -> None:
    waits = [retry_seconds(n, retry_after=None, random=lambda: fraction) for n in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] == 2 * (1 + fraction / 2)
    assert waits[-1] == MOST_RETRY_SECONDS * (1 + fraction / 2) <= 900


def test_no_wait_is_shorter_than_the_one_before_while_it_doubles() -> None:
    longest = [retry_seconds(n, retry_after=None, random=lambda: 1.0) for n in range(1, 9)]
    shortest = [retry_seconds(n, retry_after=None, random=lambda: 0.0) for n in range(1, 9)]
    assert all(early <= late for early, late in zip(longest, shortest[1:], strict=False))


def test_those_that_failed_together_do_not_come_back_together_however_often_they_failed() -> None:
    numbers = iter((0.1, 0.9))
    assert retry_seconds(30, retry_after=None, random=lambda: next(numbers)) != retry_seconds(
        30, retry_after=None, random=lambda: next(numbers)
    )


def test_retry_after_goes_before_it() -> None:
    assert retry_seconds(1, retry_after=120, random=lambda: 0.0) == 120
    assert retry_seconds(9, retry_after=10, random=lambda: 1.0) == 11


def test_retry_after_is_never_at_once() -> None:
    for asked in (0.0, 0.001, 1.9):
        assert retry_seconds(1, retry_after=asked, random=lambda: 0.0) == 2
        assert retry_seconds(4, retry_after=asked, random=lambda: 0.0) == 16
