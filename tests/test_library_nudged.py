"""A table of the host with a nudge: a commit is found long before the forwarder would look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from pns.library.nudged import Nudged
from pns.testing import FakeClock, temporary_pns
from pns.transactional.sqlalchemy import outgoing
from tests.harness import eventually


async def test_a_nudge_of_any_thread_is_enough(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    rows = Nudged(engine)
    rows.nudge()  # before the start nothing happens

    def write() -> None:
        with engine.begin() as connection:
            values = {"id": "a", "user_id": "42", "notification": '{"notification_data": "x"}'}
            connection.execute(insert(outgoing).values(values))
        rows.nudge()

    # The clock stands still, so nothing else wakes the forwarder.
    async with temporary_pns(outgoing=rows, clock=FakeClock()) as pns:
        await asyncio.to_thread(write)

        async def is_there() -> bool:
            return (await pns.user("42")).unseen == 1

        await eventually(is_there)
    rows.nudge()
    engine.dispose()


async def test_what_waits_is_in_the_metrics(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    clock = FakeClock()
    refused = {"id": "a", "user_id": "42", "notification": '{"notification_data": 1}'}
    created = datetime.fromtimestamp(clock.now() / 1e6 - 30, UTC)
    with engine.begin() as connection:
        connection.execute(insert(outgoing).values({**refused, "created_at": created}))
    names = ("pns_outgoing_waiting", "pns_outgoing_oldest_seconds", "pns_outgoing_refused")
    async with temporary_pns(outgoing=engine, clock=clock) as pns:
        metrics = (await pns._node()).metrics

        def told() -> tuple[float, ...]:
            return tuple(metrics.figures(names).values())

        def told_later() -> tuple[float, ...]:
            clock.advance(1)
            return told()

        await eventually(lambda: told() == (1, 30, 0))
        await eventually(lambda: told_later() == (0, 0, 1))
    engine.dispose()


def test_an_ended_loop_is_no_error(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    rows = Nudged(engine)
    asyncio.run(rows.open(lambda: pytest.fail("nudged")))
    rows.nudge()
    engine.dispose()
