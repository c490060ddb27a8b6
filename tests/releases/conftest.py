"""A release before this one and a store for it, for every release and engine that go together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.harness import HostApplication, ServerProcess
from tests.harness.postgres import Postgres

from .past import LATEST, RELEASED, PastServer, Release

PAIRS = [(RELEASED, "sqlite"), (LATEST, "sqlite"), (LATEST, "postgres")]


def names(pairs: list[tuple[Release, str]]) -> list[str]:
    """How tests tell the pairs apart."""
    return [f"{release.name}-{engine}" for release, engine in pairs]


class Ground(NamedTuple):
    """What an old server and a new one stand on together."""

    release: Release
    package: Path
    folder: Path
    settings: dict[str, Any]
    application: HostApplication
    postgres: Postgres | None = None

    def old(self) -> PastServer:
        return PastServer(
            self._own("old"), auth_url=self.application.url, package=self.package, **self.settings
        )

    def new(self, **settings: Any) -> ServerProcess:
        return ServerProcess(self._own("new"), auth_url=self.application.url, **self.settings, **settings)

    def run(self, sql: str) -> None:
        """Change the store behind the back of both."""
        url = self.settings["store__url"]
        if self.postgres is not None:
            self.postgres.run(f"SET search_path = pns; {sql}", url)
            return
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as store, store:
            store.execute(sql)

    def _own(self, name: str) -> Path:
        own = self.folder / name
        own.mkdir(exist_ok=True)
        return own


class Pair(NamedTuple):
    """An old node and a new one, both running. The old one alone prunes what was seen long ago."""

    ground: Ground
    old: ServerProcess
    new: ServerProcess

    @property
    def release(self) -> Release:
        return self.ground.release


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=PAIRS,
    ids=names(PAIRS),
)
async def ground(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    packages: dict[Release, Path],
) -> AsyncIterator[Ground]:
    release, engine = request.param
    folder = tmp_path_factory.mktemp("ground")
    settings: dict[str, Any] = {"auth__cache_seconds": 0, "server__heartbeat_seconds": 2}
    server: Postgres | None = request.getfixturevalue("postgres") if engine == "postgres" else None
    if server is not None:
        url = server.fresh()
        settings |= {"store__url": url, "bus__url": url}
    else:
        settings |= {"store__url": f"sqlite:///{folder / 'store.db'}"}
    if release.schema >= 2:
        settings |= {
            "push__when": "always",
            "push__webpush__subject": "mailto:ops@example.com",
            "push__webpush__allowed_networks": "127.0.0.0/8",
        }
    async with HostApplication() as application:
        yield Ground(release, packages[release], folder, settings, application, server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(ground: Ground) -> AsyncIterator[Pair]:
    """The old node made the store, the new one migrated it, and both go on."""
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(ground.old())
        new = await stack.enter_async_context(ground.new(retention__seen_days=0))
        yield Pair(ground, old, new)
        assert "Traceback" not in old.output + new.output, old.output + new.output
        assert await asyncio.gather(old.stop(), new.stop()) == [0, 0]


@pytest.fixture
def ann() -> str:
    """A user of this test alone."""
    return f"ann-{uuid4().hex[:8]}"
