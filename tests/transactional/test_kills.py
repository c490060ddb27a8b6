"""`kill -9` of the application, the forwarder and PNS in turn: the inbox is what was committed, once each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, create_engine, func, make_url, select

from pns.transactional.sqlalchemy import outgoing
from tests.harness import Backend, ServerProcess, eventually
from tests.harness.databases import new_database
from tests.harness.forkserver import Process, spawn
from tests.harness.server import API_KEY
from tests.harness.shop import orders
from tests.harness.transactions import USERS

SYNC = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


class Way(NamedTuple):
    """How the application writes."""

    kind: str
    driver: str


SHORT = [
    Way("session", "sqlite+pysqlite"),
    Way("async", "postgresql+asyncpg"),
    Way("django", "mysql+pymysql"),
]
ALL = [
    *(Way("session", driver) for driver in SYNC.values()),
    *(Way("async", driver) for driver in ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql")),
    *(Way("django", driver) for driver in SYNC.values()),
]
CASES = [
    *(pytest.param(way, 60, 3, id=f"{way.kind}-{way.driver}") for way in SHORT),
    *(
        pytest.param(way, 10_000, 60, id=f"{way.kind}-{way.driver}-long", marks=pytest.mark.soak)
        for way in ALL
    ),
]


class Program:
    """A process that is killed and started again."""

    def __init__(self, folder: Path, environment: dict[str, str], *words: str) -> None:
        self._folder, self._environment, self._words = folder, environment, words
        self._process: Process | None = None

    def start(self, *more: str) -> None:
        module, *words = *self._words, *more
        with (self._folder / "programs.log").open("ab") as log:
            self._process = spawn(
                words, cwd=self._folder, env=self._environment, output=log.fileno(), module=module
            )

    async def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "programs.log").read_text()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def running(program: Program, *more: str) -> AsyncIterator[None]:
    program.start(*more)
    try:
        yield
    finally:
        await program.kill()


def committed(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(orders)).scalar_one())


def waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(outgoing)).scalar_one())


async def inbox(backend: Backend, user_id: str) -> list[str]:
    found: list[str] = []
    while page := await backend.inbox(user_id, limit=100, **({"after": found[-1]} if found else {})):
        found += [item["notification_id"] for item in page]
    return found


@pytest.mark.parametrize(("way", "number", "kills"), CASES)
async def test_kills(
    way: Way, number: int, kills: int, server: ServerProcess, backend: Backend, request: pytest.FixtureRequest
) -> None:
    url = new_database(way.driver, request)
    plain = make_url(url).set(drivername=SYNC[make_url(url).get_backend_name()])
    engine = create_engine(plain)
    orders.create(engine)
    outgoing.create(engine)
    address = plain.render_as_string(hide_password=False)
    shop = Program(server.folder, server.environment, "tests.harness.shop", way.kind, url)
    forwarding = ("pns.ops.cli", "forward", "--database", address, "--url", server.url, "--key", API_KEY)
    forwarder = Program(server.folder, server.environment, *forwarding)
    async with running(forwarder):
        async with running(shop, "0"):
            for step in range(kills):
                wanted = number // kills * (step + 1)
                await eventually(lambda: committed(engine) >= wanted, within=600)  # noqa: B023
                if step % 3 == 0:
                    await shop.kill()
                    shop.start(str(step + 1))
                elif step % 3 == 1:
                    await forwarder.kill()
                    forwarder.start()
                else:
                    await server.kill()
                    await server.start()
        await eventually(lambda: waiting(engine) == 0, within=120)
    with engine.connect() as connection:
        said = connection.execute(select(orders.c.user_id, orders.c.id).order_by(orders.c.number)).all()
    assert len(said) >= number // kills * kills
    for user_id in USERS:
        assert await inbox(backend, user_id) == [id for user, id in said if user == user_id]
    engine.dispose()
