"""When a device cookie that does not come back is told."""

from __future__ import annotations

import pytest

from pns.testing import FakeClock
from pns.web.cookie_watch import IN_A_ROW, MOST_BROWSERS, WITHIN_SECONDS, Browser, CookieWatch

ANN = Browser("ann", "192.0.2.1", b"Firefox")
GONE = "the device cookie that was set for /pns does not come back"
FOREIGN = "a device cookie comes back that this PNS did not sign"


def lost(watch: CookieWatch, times: int, browser: Browser = ANN, *, foreign: bool = False) -> None:
    for _ in range(times):
        watch.is_lost(browser, path="/pns", foreign=foreign)


@pytest.mark.parametrize(("foreign", "told"), [(False, GONE), (True, FOREIGN)])
def test_three_in_a_row_are_told_once(foreign: bool, told: str, caplog: pytest.LogCaptureFixture) -> None:
    watch = CookieWatch(FakeClock())
    lost(watch, IN_A_ROW - 1, foreign=foreign)
    assert caplog.records == []
    lost(watch, 50, foreign=foreign)
    lost(watch, 50, Browser("bob", "192.0.2.2", b"Safari"), foreign=foreign)
    (record,) = caplog.records
    assert record.getMessage().startswith(told)


def test_a_cookie_that_comes_back_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    watch = CookieWatch(FakeClock())
    for _ in range(5):
        lost(watch, IN_A_ROW - 1)
        watch.came_back(ANN)
    assert caplog.records == []


def test_other_browsers_and_other_days_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    watch = CookieWatch(clock)
    for number in range(50):
        lost(watch, 1, Browser("ann", f"192.0.2.{number}", b"Firefox"))
        lost(watch, 1, Browser(f"user {number}", "192.0.2.1", b"Firefox"))
    for _ in range(5):
        lost(watch, 1)
        clock.advance(WITHIN_SECONDS)
    assert caplog.records == []


def test_memory_is_bounded() -> None:
    watch = CookieWatch(FakeClock())
    for number in range(3 * MOST_BROWSERS):
        lost(watch, 1, Browser(str(number), "", b""))
    assert len(watch._lost) == MOST_BROWSERS
