"""What several workers measure, told by any of them."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from pns.ops.serve.worker_metrics import Siblings
from pns.runtime.metrics import Metrics


async def test_each_worker_tells_what_all_of_them_measure(tmp_path: Path) -> None:
    measured = [Metrics(), Metrics()]
    for count, metrics in enumerate(measured, start=1):
        metrics.notifications_stored.inc(count)
        metrics.notifies.labels("created").inc(count)
        metrics.commit_seconds.observe(0.003)
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(Siblings(tmp_path, number, metrics.text))
            for number, metrics in enumerate(measured)
        ]
        texts = [await worker.text() for worker in workers]
    assert texts[0] == texts[1]
    families = {family.name: family for family in text_string_to_metric_families(texts[0].decode())}
    assert families.keys() >= {family.name for family in measured[0].registry.collect()}
    totals = {
        (sample.name, sample.labels["worker"]): sample.value
        for name in ("pns_notifications_stored", "pns_notifies")
        for sample in families[name].samples
        if sample.name.endswith("_total")
    }
    assert totals == {
        ("pns_notifications_stored_total", "0"): 1,
        ("pns_notifications_stored_total", "1"): 2,
        ("pns_notifies_total", "0"): 1,
        ("pns_notifies_total", "1"): 2,
    }
    assert {sample.labels["worker"] for sample in families["pns_commit_seconds"].samples} == {"0", "1"}


async def test_a_worker_that_is_gone_or_stuck_is_left_out(tmp_path: Path) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    (tmp_path / "7").touch()
    stuck = await asyncio.start_unix_server(silence, tmp_path / "8")
    metrics = Metrics()
    async with stuck, Siblings(tmp_path, 0, metrics.text) as worker:
        text = (await worker.text()).decode()
    assert 'pns_connections{worker="0"} 0.0' in text
    assert 'worker="7"' not in text
    assert 'worker="8"' not in text


async def test_the_successor_of_a_killed_worker_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "0").touch()
    async with Siblings(tmp_path, 0, Metrics().text) as worker:
        assert b'worker="0"' in await worker.text()
    assert os.listdir(tmp_path) == []
