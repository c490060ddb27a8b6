"""A clock that stands still, a host application and a real server for every test that asks."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import settings as examples

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Store
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from pns.testing.temporary import empty_store
from tests.harness import Backend, HostApplication, ServerProcess, trust
from tests.harness.memory import keep_files_there
from tests.harness.release import build, install
from tests.releases.past import RELEASES, Release


def pytest_configure() -> None:
    """Ctrl-C reaches what tests start, also where this run was put into the background by a shell.

    Nothing that is collected is garbage: to look for some takes a fifth of the time.
    """
    gc.disable()
    keep_files_there()
    trust.read_once()
    # Hypothesis would fail an example for its time, which is the machine's.
    examples.register_profile("any machine", examples(), deadline=None)
    examples.load_profile("any machine")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


FIRST = (
    *("browser", "clients", "deploy", "test_packaging.py", "fleet", "releases", "docs", "e2e", "ops"),
    *("durability", "transactional", "django", "troubles", "seeds", "security", "examples"),
    *("test_simulate.py", "test_state_machine.py", "adapters"),
)
"""Folders with tests that start processes, and files that take as long: none may be left for the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files are handed out first. Browsers alternate with other processes, so that no two cores run
    three browsers.
    """
    files = list(dict.fromkeys(_file(item) for item in items))
    browsers, *others = ([file for file in files if file.split("/")[1] == folder] for folder in FIRST)
    pairs = zip_longest(browsers, chain(*others))
    order = dict.fromkeys([file for pair in pairs for file in pair if file] + files)
    places = {file: place for place, file in enumerate(order)}
    items.sort(key=lambda item: places[_file(item)])


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, and not among the thousands of tests."""
    gc.freeze()
    gc.enable()


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Store]:
    """An empty store on SQLite."""
    store = SQLiteStore(empty_store(tmp_path / "pns.db"), clock=clock, metrics=metrics)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made_once(tmp_path_factory, "dist", build)


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it asks for."""
    return _made_once(tmp_path_factory, "environment", lambda folder: install(wheel, folder))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[Release, Path]:
    """The folder of each release before this one, unpacked."""
    return {
        release: _made_once(tmp_path_factory, f"pns-{release.commit}", release.unpack) for release in RELEASES
    }


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """What `make` makes in a folder of this name: by whichever of a run's processes comes first, for all."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Path(f"{folder}.made")
        if not made.exists():
            folder.mkdir()
            made.write_text(str(make(folder)))
        return Path(made.read_text())


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
