"""A proxy on the way out."""

from __future__ import annotations

from pathlib import Path

from pns.adapters.gateways.apns.gateway import APNs
from pns.runtime.proxy import Proxy
from pns.testing import FakeClock
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.harness.connect_proxy import ConnectProxy
from tests.harness.troubles import assert_told


async def told(tmp_path: Path, clock: FakeClock, *, status: int = 0) -> str:
    """What a gateway says whose proxy answers `status`, or is away."""
    async with ConnectProxy() as proxy, FakeAPNs(tmp_path, clock=clock) as service:
        proxy.refuse = status
        gateway = APNs(
            service.settings(), clock=clock, proxy=Proxy("http", "127.0.0.1", proxy.port if status else 1)
        )
        await gateway.start()
        try:
            return await gateway.trouble()
        finally:
            await gateway.stop()


async def test_a_proxy_that_is_away(tmp_path: Path, clock: FakeClock) -> None:
    assert_told("the proxy of outbound.proxy cannot be reached", await told(tmp_path, clock))


async def test_a_proxy_that_wants_a_login(tmp_path: Path, clock: FakeClock) -> None:
    assert_told("the proxy of outbound.proxy answered 407", await told(tmp_path, clock, status=407))


async def test_a_proxy_that_refuses_the_host(tmp_path: Path, clock: FakeClock) -> None:
    output = await told(tmp_path, clock, status=403)
    assert_told(
        "the proxy of outbound.proxy answered …: let the proxy pass PNS on to this host and port", output
    )
