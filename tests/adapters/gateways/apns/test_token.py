"""Provider tokens of APNs: what they say, and when there is a new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from pns.adapters.gateways.apns.gateway import APNs
from pns.contracts.gateway import Outcome
from pns.testing import FakeClock
from tests.adapters.gateways.apns_rules import KEY_ID, TEAM_ID, Reply
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import device, started

MINUTE = 60
EXPIRED = Reply(403, "ExpiredProviderToken")
TOO_MANY = Reply(429, "TooManyProviderTokenUpdates")


class Sender:
    """Pushes, and looks at the tokens that arrive."""

    def __init__(self, service: FakeAPNs, gateway: APNs) -> None:
        self.service = service
        self.gateway = gateway

    async def push(self, number: int = 1) -> Outcome:
        return (await self.gateway.push(push(device(self.service.clock.now()), push_key=number))).outcome

    @property
    def tokens(self) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(sent.headers["authorization"] for sent in self.service.requests))


@pytest.fixture
async def sender(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Sender]:
    async with FakeAPNs(tmp_path, clock=clock) as service, started(service) as gateway:
        yield Sender(service, gateway)


async def test_what_a_token_says(sender: Sender, clock: FakeClock) -> None:
    await sender.push()
    scheme, _, token = sender.tokens[0].partition(" ")
    found = jwt.decode(token, ECKey.import_key(sender.service.key_file.read_bytes()), algorithms=["ES256"])
    assert scheme == "bearer"
    assert found.header == {"alg": "ES256", "kid": KEY_ID}
    assert found.claims == {"iss": TEAM_ID, "iat": clock.now() // 1_000_000}


async def test_it_is_renewed_after_50_minutes(sender: Sender, clock: FakeClock) -> None:
    for seconds, tokens in ((0, 1), (50 * MINUTE - 1, 1), (1, 2), (50 * MINUTE, 3)):
        clock.advance(seconds)
        assert await sender.push() is Outcome.ACCEPTED
        assert len(sender.tokens) == tokens


async def test_all_pushes_and_environments_share_it(sender: Sender, clock: FakeClock) -> None:
    for _ in range(2):
        assert set(await asyncio.gather(*(sender.push(n) for n in range(20)))) == {Outcome.ACCEPTED}
        sandbox = push(device(clock.now(), environment="sandbox"))
        assert (await sender.gateway.push(sandbox)).outcome is Outcome.ACCEPTED
        clock.advance(50 * MINUTE)
    assert len(sender.tokens) == 2


async def test_a_machine_that_slept_has_a_new_one(sender: Sender, clock: FakeClock) -> None:
    await sender.push()
    clock.jump(2 * 60 * MINUTE)  # the wall clock alone, as Linux has it
    clock.advance(20 * MINUTE)  # the fake counts by the monotonic clock
    assert await sender.push() is Outcome.ACCEPTED
    assert len(sender.tokens) == 2
    assert len(sender.service.requests) == 2, "APNs had to refuse none"


async def test_what_apns_calls_expired_is_renewed_and_tried_once_more(
    sender: Sender, clock: FakeClock
) -> None:
    await sender.push()
    clock.advance(20 * MINUTE)
    sender.service.script.append(EXPIRED)
    assert await sender.push() is Outcome.ACCEPTED
    assert len(sender.tokens) == 2
    assert len(sender.service.requests) == 3


async def test_many_that_expired_at_once_make_one_new_token(sender: Sender, clock: FakeClock) -> None:
    await sender.push()
    clock.advance(20 * MINUTE)
    sender.service.script.extend([EXPIRED] * 20)
    assert set(await asyncio.gather(*(sender.push(n) for n in range(20)))) == {Outcome.ACCEPTED}
    assert len(sender.tokens) == 2


async def test_a_young_token_that_is_called_expired_is_for_an_operator(
    sender: Sender, clock: FakeClock
) -> None:
    await sender.push()
    clock.advance(20 * MINUTE - 1)
    sender.service.script.append(EXPIRED)
    assert await sender.push() is Outcome.REFUSED
    assert len(sender.tokens) == 1


async def test_a_new_one_that_is_called_expired_too(sender: Sender, clock: FakeClock) -> None:
    await sender.push()
    clock.advance(20 * MINUTE)
    sender.service.script.extend([EXPIRED, EXPIRED])
    assert await sender.push() is Outcome.REFUSED
    assert len(sender.service.requests) == 3


async def test_after_too_many_the_one_that_there_is_stays(sender: Sender, clock: FakeClock) -> None:
    await sender.push()
    clock.advance(45 * MINUTE)
    sender.service.script.append(TOO_MANY)
    assert await sender.push() is Outcome.UNAVAILABLE
    clock.advance(10 * MINUTE)
    assert await sender.push() is Outcome.ACCEPTED
    assert len(sender.tokens) == 1, "55 minutes old"
    clock.advance(10 * MINUTE)
    assert await sender.push() is Outcome.ACCEPTED
    assert len(sender.tokens) == 2
