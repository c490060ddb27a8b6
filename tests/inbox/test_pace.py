"""How large the steps of the spreader are: small while others write, large while nobody waits."""

from __future__ import annotations

import pytest

from pns.inbox.pace import BUSY_FOR, BUSY_SECONDS, FIRST_USERS, QUIET_SECONDS, STEP_SECONDS, Attentive, Pace
from pns.testing import FakeClock

USERS = range(20, 1_000)


class Others:
    """Writes of others."""

    writes = 7

    def __call__(self) -> int:
        return self.writes


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def pace(others: Others, clock: FakeClock) -> Attentive:
    pace = Attentive(USERS, others=others, clock=clock)
    pace.begin(alone=True)
    return pace


def take(pace: Pace, per_user: float, steps: int) -> None:
    for _ in range(steps):
        pace.note(pace.users, pace.users * per_user)


def busy(pace: Pace) -> bool:
    return pace.busy


def test_a_quick_store_has_large_steps_and_a_slow_one_small_steps(pace: Attentive) -> None:
    assert pace.users == FIRST_USERS
    take(pace, 1e-6, 20)
    assert pace.users == USERS[-1]
    take(pace, QUIET_SECONDS / 200, 20)
    assert 130 < pace.users <= 300
    take(pace, 1.0, 20)
    assert pace.users == USERS[0]


def test_a_step_that_was_cut_short_says_nothing_against_larger_steps(pace: Attentive) -> None:
    take(pace, 1e-6, 20)
    pace.note(3, 1e-6)
    assert pace.users == USERS[-1]
    pace.note(100, 2 * QUIET_SECONDS)
    assert pace.users == 50


def test_while_others_write_steps_are_short(pace: Attentive, others: Others, clock: FakeClock) -> None:
    take(pace, QUIET_SECONDS / 900, 20)
    others.writes += 1
    assert not busy(pace), "a node alone writes now and then"
    clock.advance(1)
    others.writes += 1
    assert not busy(pace)
    clock.advance(BUSY_FOR / 2)
    others.writes += 1
    assert busy(pace)
    take(pace, QUIET_SECONDS / 900, 20)
    assert pace.users * QUIET_SECONDS / 900 < 1.6 * BUSY_SECONDS
    clock.advance(BUSY_FOR)
    assert not busy(pace)
    others.writes += 2
    assert busy(pace)


def test_others_who_begin_or_end_find_a_step_of_the_right_size(
    pace: Attentive, others: Others, clock: FakeClock
) -> None:
    """Not one that shrinks by and by: the first of them would wait for a large step."""
    per_user = QUIET_SECONDS / 900
    take(pace, per_user, 20)
    large = pace.users
    assert large > 600
    others.writes += 2
    assert pace.users <= FIRST_USERS
    take(pace, per_user, 20)
    small = pace.users
    assert USERS[0] < small < 1.6 * BUSY_SECONDS / per_user
    clock.advance(2 * BUSY_FOR)
    assert pace.users == large
    others.writes += 2
    assert pace.users == small
    clock.advance(2 * BUSY_FOR)
    take(pace, 1.0, 20)
    others.writes += 2
    assert pace.users == USERS[0], "a store that is slow alone is slow beside others"


def test_a_store_that_was_slow_for_a_moment_soon_has_large_steps_again(pace: Attentive) -> None:
    take(pace, 1e-6, 20)
    take(pace, 1.0, 20)
    assert pace.users == USERS[0]
    take(pace, 1e-6, 4)
    assert pace.users == USERS[-1]


def test_what_was_written_before_a_turn_says_nothing(pace: Attentive, others: Others) -> None:
    others.writes += 2
    pace.begin(alone=True)
    assert not pace.busy


def test_beside_another_process_it_is_always_busy(pace: Attentive) -> None:
    pace.begin(alone=False)
    assert (pace.busy, pace.bound) == (True, BUSY_SECONDS)


def test_steps_of_any_kind_are_as_if_others_wrote() -> None:
    pace = Pace(range(20, 101))
    pace.begin(alone=True)
    assert (pace.users, pace.busy, pace.bound) == (100, True, STEP_SECONDS)
