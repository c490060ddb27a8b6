"""One PostgreSQL for all tests of this folder, and one fleet for all tests of a file: starts are dear."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.harness import HostApplication
from tests.harness.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def login() -> AsyncIterator[HostApplication]:
    """A host application that knows everybody."""
    async with HostApplication() as application:
        yield application
