"""A host application and a real server for every test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Backend, HostApplication, ServerProcess


@pytest.fixture
async def application() -> AsyncIterator[HostApplication]:
    async with HostApplication() as application:
        yield application


@pytest.fixture
async def server(application: HostApplication, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(tmp_path, auth_url=application.url) as server:
        yield server


@pytest.fixture
async def backend(server: ServerProcess) -> AsyncIterator[Backend]:
    async with server.backend() as backend:
        yield backend
