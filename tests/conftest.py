"""A clock that stands still, a host application and a real server for every test that asks."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns.metrics import Metrics
from pns.testing import FakeClock
from tests.harness import Backend, HostApplication, ServerProcess
from tests.harness.release import build, install


def pytest_configure() -> None:
    """Ctrl-C reaches what tests start, also where this run was put into the background by a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it asks for."""
    return install(wheel, tmp_path_factory.mktemp("environment"))


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
