"""The gateway to APNs against nginx, an HTTP/2 that nobody here wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pns.adapters.gateways.apns.gateway import APNs
from pns.contracts.gateway import Outcome
from pns.model.push import Push
from pns.settings import APNsSettings
from pns.testing import FakeClock
from tests.adapters.gateways.apns_rules import KEY_ID, TEAM_ID, TOPIC
from tests.adapters.gateways.certificates import Authority, private_pem
from tests.adapters.gateways.nginx import Nginx, nginx
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import device

BROKEN = "ee" * 32
SITE = f"""
    location /3/device/ {{ add_header apns-id $http_apns_id always; return 200; }}
    location /3/device/{BROKEN} {{ return 503; }}
"""
RESTLESS = "keepalive_requests 20; http2_max_concurrent_streams 8;"
STRICT = "ssl_verify_client on; ssl_client_certificate {ca};"


@asynccontextmanager
async def gateway_to(service: Nginx, clock: FakeClock, **credentials: Any) -> AsyncIterator[APNs]:
    settings = APNsSettings(
        topic=TOPIC, url=service.url, ca_file=str(service.authority.ca_file), **credentials
    )
    gateway = APNs(settings, clock=clock)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest.fixture
def key(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "key.p8"
    file.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    return {"key_file": str(file), "key_id": KEY_ID, "team_id": TEAM_ID}


async def push_all(gateway: APNs, pushes: list[Push], *, at_once: int) -> set[Outcome]:
    turns = asyncio.Semaphore(at_once)

    async def one(push: Push) -> Outcome:
        async with turns:
            return (await gateway.push(push)).outcome

    return set(await asyncio.gather(*(one(push) for push in pushes)))


@pytest.mark.parametrize("count", [400, pytest.param(5_000, marks=pytest.mark.soak)])
async def test_connections_that_end_all_the_time_lose_nothing(
    tmp_path: Path, clock: FakeClock, key: dict[str, str], count: int
) -> None:
    async with nginx(tmp_path, RESTLESS + SITE) as service, gateway_to(service, clock, **key) as gateway:
        pushes = [push(device(clock.now()), push_key=n) for n in range(count)]
        assert await push_all(gateway, pushes, at_once=100) == {Outcome.ACCEPTED}
    requests = service.requests()
    assert len({request.connection for request in requests}) >= count // 20, "nginx ended its connections"
    assert {request.apns_id for request in requests} == {push.push_id for push in pushes}, (
        "under their own ids"
    )


async def test_without_an_end_one_connection_carries_all_and_nothing_twice(
    tmp_path: Path, clock: FakeClock, key: dict[str, str]
) -> None:
    async with nginx(tmp_path, SITE) as service, gateway_to(service, clock, **key) as gateway:
        pushes = [push(device(clock.now()), push_key=n) for n in range(400)]
        assert await push_all(gateway, pushes, at_once=100) == {Outcome.ACCEPTED}
    requests = service.requests()
    assert len({request.connection for request in requests}) == 1
    assert sorted(request.apns_id for request in requests) == sorted(push.push_id for push in pushes)


async def test_a_page_of_html_makes_pushes_wait(
    tmp_path: Path, clock: FakeClock, key: dict[str, str]
) -> None:
    async with nginx(tmp_path, SITE) as service, gateway_to(service, clock, **key) as gateway:
        receipt = await gateway.push(push(device(clock.now(), address=BROKEN)))
        assert (receipt.outcome, receipt.reason) == (Outcome.UNAVAILABLE, "503")
        assert (await gateway.push(push(device(clock.now())))).outcome is Outcome.ACCEPTED


async def test_a_certificate_in_place_of_a_key(tmp_path: Path, clock: FakeClock) -> None:
    async with nginx(tmp_path, STRICT + SITE) as service:
        certificate = str(service.authority.issue("client"))
        async with gateway_to(service, clock, certificate_file=certificate) as gateway:
            assert (await gateway.push(push(device(clock.now())))).outcome is Outcome.ACCEPTED


async def test_a_certificate_that_is_not_known(tmp_path: Path, clock: FakeClock) -> None:
    stranger = str(Authority(tmp_path, "elsewhere").issue("stranger"))
    async with (
        nginx(tmp_path, STRICT + SITE) as service,
        gateway_to(service, clock, certificate_file=stranger) as gateway,
    ):
        assert (await gateway.push(push(device(clock.now())))).outcome is Outcome.REFUSED
        assert "check push.apns.url" in await gateway.trouble()
