"""One real server for all tests of a file, each with users of its own: a start costs more than a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.harness import Backend, HostApplication, ServerProcess
from tests.harness.contract import Contract


class House(NamedTuple):
    """A host application, PNS, and the application's side of it, held to the contract at every answer."""

    application: HostApplication
    server: ServerProcess
    backend: Backend
    contract: Contract

    @property
    def url(self) -> str:
        return self.server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with (
        HostApplication() as application,
        ServerProcess(folder, auth_url=application.url, server__heartbeat_seconds=2) as server,
        server.backend() as backend,
    ):
        contract = await Contract.of(server.url)
        contract.watch(backend.http)
        yield House(application, server, backend, contract)
        assert "Traceback" not in server.output, server.output


@pytest.fixture
def alice() -> str:
    """A user of this test alone."""
    return f"alice-{uuid4().hex[:8]}"


@pytest.fixture
def bob() -> str:
    return f"bob-{uuid4().hex[:8]}"
