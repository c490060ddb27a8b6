"""Servers for the databases of applications, one of each for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.mariadb import MariaDB
from tests.harness.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB() as server:
        yield server
