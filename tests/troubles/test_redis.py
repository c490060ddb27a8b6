"""Redis as the bus, with the account that docs/operations.md names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns import Settings
from pns.adapters.buses.redis import RedisWire
from pns.adapters.buses.signal_bus import SignalBus
from pns.adapters.buses.trial import trouble
from pns.ops.commands.doctor.broker import check_bus
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import BusSettings
from tests.harness.redis import Redis
from tests.harness.troubles import assert_told

DOCS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
ACCOUNT = re.search(r"ACL SETUSER pns .*", DOCS)
PLAIN = "ACL SETUSER pns on >geheim resetchannels &pns:* +publish +subscribe +unsubscribe"


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with Redis() as redis:
        yield redis


async def carries(redis: Redis, path: str) -> str:
    url = redis.url.replace("//", "//pns:geheim@") + path
    return await trouble(RedisWire(url), seconds=10.0)


async def test_the_account_of_the_docs_is_enough(redis: Redis) -> None:
    assert ACCOUNT is not None
    command = ACCOUNT[0].replace("a-password", "geheim")
    await redis.run(*command.split())
    for path in ("", "/0", "/1", "/1?client_name=pns", "?client_name=pns-bus"):
        assert await carries(redis, path) == "", path


@pytest.mark.parametrize(("path", "lacks"), [("/1", "select"), ("?client_name=pns", "client|setname")])
async def test_a_right_that_is_missing_is_named(
    redis: Redis, path: str, lacks: str, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.run(*PLAIN.split())
    assert await carries(redis, "") == ""
    url = redis.url.replace("//", "//pns:geheim@") + path
    bus = SignalBus(RedisWire(url), clock=SystemClock(), metrics=Metrics())
    await bus.start(lambda user_ids: None)
    await bus.stop()
    assert_told("the bus is away: Redis: … has no permissions to run the … command", caplog.text)
    assert f"'{lacks}'" in caplog.text
    assert "geheim" not in caplog.text
    (only,) = [each async for each in check_bus(Settings(bus=BusSettings(url=url)))]
    assert f"'{lacks}'" in only.answer
