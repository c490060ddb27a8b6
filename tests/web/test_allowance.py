"""How often each may ask: a burst, then the rate; nobody pays for another, and nobody is kept for good."""

from __future__ import annotations

from pns.web.allowance import Allowances


def taken(allowances: Allowances, key: str, *, now: float, most: int = 1000) -> int:
    """How often `key` may ask at `now` until it is refused."""
    return next((n for n in range(most) if not allowances.take(key, now=now)), most)


def test_a_burst_and_then_the_rate() -> None:
    allowances = Allowances(20, burst=2)
    assert taken(allowances, "a", now=100.0) == 40
    assert taken(allowances, "a", now=100.0) == 0
    assert taken(allowances, "a", now=100.5) == 10
    assert taken(allowances, "a", now=101.5) == 20
    assert taken(allowances, "a", now=1000.0) == 40


def test_one_does_not_pay_for_another() -> None:
    allowances = Allowances(1, burst=2)
    assert taken(allowances, "a", now=5.0) == 2
    assert taken(allowances, "b", now=5.0) == 2


def test_who_is_as_new_is_forgotten() -> None:
    allowances = Allowances(10, burst=2)
    for n in range(20_000):
        assert allowances.take(n, now=n * 0.01)
    assert len(allowances) <= 1025
    assert taken(allowances, "a", now=200.0) == 20
    for n in range(5_000):
        allowances.take(-n, now=200.0)
    assert taken(allowances, "a", now=200.0) == 0, "forgotten while it had asked too much"
