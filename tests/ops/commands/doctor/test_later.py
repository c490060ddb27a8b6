"""The doctor on what waits for its time: nothing, something to come, and something that is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pns.compose import make_store
from pns.contracts.store import Submission
from pns.model.notification import Notification
from pns.model.timestamp import SECOND
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.later import LATER, OVERDUE_SECONDS, check_later
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings
from pns.testing import FakeClock
from pns.testing.temporary import empty_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=StoreSettings(url=f"sqlite:///{empty_store(tmp_path / 'pns.db')}"))


async def found(settings: Settings, clock: FakeClock) -> Finding:
    (finding,) = [finding async for finding in check_later(settings, clock)]
    assert finding.question == LATER
    return finding


async def waits(settings: Settings, clock: FakeClock, seconds: float) -> None:
    store = make_store(settings, clock=clock, metrics=Metrics())
    await store.open()
    date = datetime.fromtimestamp(clock.now() / SECOND, UTC) + timedelta(seconds=seconds)
    await store.append([Submission("ann", (Notification("a", "a", deliver_date=date),))])
    await store.close()


async def test_what_is_to_come_is_no_fault(settings: Settings, clock: FakeClock) -> None:
    assert (await found(settings, clock)).answer == "0 waiting"
    await waits(settings, clock, 600)
    finding = await found(settings, clock)
    assert (finding.verdict, finding.answer) == (Verdict.GOOD, "1 waiting; the first due in 10 min")


async def test_what_is_late_has_its_remedy(settings: Settings, clock: FakeClock) -> None:
    await waits(settings, clock, 1)
    clock.advance(OVERDUE_SECONDS)
    assert (await found(settings, clock)).verdict is Verdict.GOOD
    clock.advance(61)
    finding = await found(settings, clock)
    assert (finding.verdict, finding.answer) == (Verdict.BAD, "1 waiting; the first due 2 min ago")
    assert "/readyz" in finding.remedy


async def test_without_a_store_it_is_not_asked(tmp_path: Path, clock: FakeClock) -> None:
    nowhere = Settings(store=StoreSettings(url=f"sqlite:///{tmp_path / 'none.db'}"))
    assert (await found(nowhere, clock)).verdict is Verdict.NOT_ASKED
