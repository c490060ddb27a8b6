from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pns.adapters.authorities.application import ApplicationLogin
from pns.contracts.authority import Credentials
from pns.runtime.metrics import Metrics
from pns.settings import AuthSettings
from pns.testing.clock import FakeClock


@dataclass
class Revocations:
    """What Store.newest_revocation answers; `wait` holds the answer up, `error` replaces it."""

    number: int = 0
    reads: int = 0
    wait: Callable[[], Awaitable[object]] | None = None
    error: Exception | None = None

    async def newest(self) -> int:
        self.reads += 1
        if self.wait is not None:
            await self.wait()
        if self.error is not None:
            raise self.error
        return self.number


@dataclass
class World:
    """What an ApplicationLogin needs, and what a test looks at."""

    clock: FakeClock = field(default_factory=FakeClock)
    metrics: Metrics = field(default_factory=Metrics)
    revocations: Revocations = field(default_factory=Revocations)

    @contextlib.asynccontextmanager
    async def login(
        self, url: str, *, timeout_seconds: float = 5, cache_seconds: float = 10, max_concurrency: int = 64
    ) -> AsyncIterator[ApplicationLogin]:
        settings = AuthSettings(
            url=url,
            timeout_seconds=timeout_seconds,
            cache_seconds=cache_seconds,
            max_concurrency=max_concurrency,
        )
        authority = ApplicationLogin(
            settings, clock=self.clock, metrics=self.metrics, newest_revocation=self.revocations.newest
        )
        await authority.start()
        try:
            yield authority
        finally:
            await authority.stop()

    def outcomes(self) -> dict[str, int]:
        """The outcomes counted so far; those that never happened are missing."""
        samples = [sample for metric in self.metrics.logins.collect() for sample in metric.samples]
        return {s.labels["outcome"]: int(s.value) for s in samples if s.name == "pns_logins_total"}


@pytest.fixture
def world() -> World:
    return World()


def cookie(
    value: str, *, device_id: str = "device-1", address: str = "192.0.2.7", host: str = "shop.example"
) -> Credentials:
    """The credentials of a device with this cookie."""
    forwarded = (
        (b"x-forwarded-for", address.encode()),
        (b"x-forwarded-proto", b"https"),
        (b"x-pns-host", host.encode()),
    )
    return Credentials(((b"cookie", value.encode()),), forwarded, device_id)


def nobody() -> Credentials:
    return Credentials((), ((b"x-forwarded-for", b"192.0.2.7"),), "device-1")
