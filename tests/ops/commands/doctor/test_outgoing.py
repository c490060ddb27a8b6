"""The doctor on the application's own table: what waits, what was refused, and other databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert

from pns.model.timestamp import SECOND
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.outgoing import LATE_SECONDS, OUTGOING, check_outgoing
from pns.testing import FakeClock
from pns.transactional.sqlalchemy import outgoing


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    return engine


async def findings(database: str, clock: FakeClock) -> list[Finding]:
    found = [finding async for finding in check_outgoing(database, clock)]
    assert {finding.question for finding in found} <= {OUTGOING}
    return found


def write(engine: Engine, clock: FakeClock, id: str, problem: str | None = None) -> None:
    now = datetime.fromtimestamp(clock.now() / SECOND, UTC)
    row = {"id": id, "user_id": "42", "notification": "{}", "created_at": now - timedelta(seconds=10)}
    failed = {} if problem is None else {"failed_at": now, "problem": problem}
    with engine.begin() as connection:
        connection.execute(insert(outgoing).values(**row, **failed))


async def test_what_waits_for_a_moment_is_no_fault_and_later_it_is(engine: Engine, clock: FakeClock) -> None:
    (nothing,) = await findings(str(engine.url), clock)
    assert (nothing.verdict, nothing.answer) == (Verdict.GOOD, "0 waiting")
    write(engine, clock, "a")
    clock.advance(LATE_SECONDS - 10)
    (soon,) = await findings(str(engine.url), clock)
    assert (soon.verdict, soon.answer) == (Verdict.GOOD, "1 waiting; the oldest for 60 s")
    clock.advance(1)
    (late,) = await findings(str(engine.url), clock)
    assert (late.verdict, late.answer) == (Verdict.BAD, "1 waiting; the oldest for 61 s")
    assert "pns forward" in late.remedy


async def test_what_was_refused_has_its_remedy(engine: Engine, clock: FakeClock) -> None:
    write(engine, clock, "a", "409")
    write(engine, clock, "b", "422")
    waiting, refused = await findings(str(engine.url), clock)
    assert (waiting.verdict, waiting.answer) == (Verdict.GOOD, "0 waiting")
    assert (refused.verdict, refused.answer) == (Verdict.BAD, "2 rows were refused")
    assert "`problem`" in refused.remedy


@pytest.mark.parametrize("database", ["sqlite:///{}/empty.db", "nonsense", "mysql2://user:hidden@host/app"])
async def test_a_database_that_no_forwarder_reads_is_not_asked(
    database: str, tmp_path: Path, clock: FakeClock
) -> None:
    (found,) = await findings(database.format(tmp_path), clock)
    assert found.verdict is Verdict.NOT_ASKED
    assert "hidden" not in found.remedy


async def test_a_database_that_is_away_is_a_fault(clock: FakeClock) -> None:
    (found,) = await findings("postgresql://user:hidden@127.0.0.1:1/app", clock)
    assert found.verdict is Verdict.BAD
    assert "hidden" not in found.answer + found.remedy


async def test_without_a_database_nothing_is_asked(clock: FakeClock) -> None:
    assert await findings("", clock) == []
