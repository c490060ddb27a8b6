from __future__ import annotations

import logging

import pytest

from pns.authorities.doubts import DoubtLog
from pns.testing.clock import FakeClock


def test_the_first_doubt_is_written_at_once_then_one_a_second(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    doubts = DoubtLog(logging.getLogger("test"), clock=clock)
    for _ in range(4):
        doubts.write("asked", "down")
    clock.advance(1)
    doubts.write("asked", "slow")
    clock.advance(5)
    doubts.write("asked", "down")
    assert caplog.messages == ["asked: down", "asked: slow (3 more since the line before)", "asked: down"]
