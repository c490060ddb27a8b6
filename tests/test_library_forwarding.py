"""The lines of `pns forward` about what waits."""

from __future__ import annotations

from pns.contracts.outgoing import Backlog
from pns.library.forwarding import Backlogs


def test_a_backlog_is_a_line_and_nothing_new_is_none() -> None:
    lines: list[str] = []
    tell = Backlogs(lines.append)
    for backlog in (Backlog(0, 0, 0), Backlog(1204, 312.4, 0), Backlog(0, 0, 3), Backlog(0, 0, 3)):
        tell(backlog)
    assert lines == [
        "1,204 rows wait, the oldest for 312 s; 0 were refused: see failed_at and problem",
        "0 rows wait, the oldest for 0 s; 3 were refused: see failed_at and problem",
    ]
    tell(Backlog(0, 0, 0))
    assert len(lines) == 3, "somebody has tried them again"
