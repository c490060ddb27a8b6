"""How far `pns copy` is: lines where nobody watches, a bar where somebody does."""

from __future__ import annotations

import io

from rich.console import Console

from pns.ops.commands.copy.progress import Progress, progress_on


def tell(progress: Progress) -> None:
    progress.begin("users", total=0)
    progress.begin("notifications", total=1_000, done=300)
    for _ in range(70):
        progress.advance(10)


def test_lines_for_a_log() -> None:
    shown = io.StringIO()
    with progress_on(Console(file=shown)) as progress:
        tell(progress)
    first, *tenths = shown.getvalue().splitlines()
    assert first == "notifications: 300 of 1,000 are there already"
    assert tenths == [f"notifications: {done:,} of 1,000" for done in range(400, 1_001, 100)]


def test_a_bar_for_a_terminal() -> None:
    shown = io.StringIO()
    with progress_on(Console(file=shown, force_terminal=True, width=100)) as progress:
        tell(progress)
    assert "1000/1000" in shown.getvalue()
    assert "/s" in shown.getvalue()
    assert "users" not in shown.getvalue()
