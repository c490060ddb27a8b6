"""What only one broker can do to its bus, and the URLs of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client

from pns.adapters.buses.postgres import PostgresWire
from pns.errors import SettingsError
from tests.adapters.buses.conftest import WIRES, Broker, NewNode, PostgresBroker
from tests.harness import eventually
from tests.harness.nats import NATS
from tests.harness.redis import Redis

on_redis = pytest.mark.parametrize("kind", ["redis"], indirect=True)
on_postgres = pytest.mark.parametrize("kind", ["postgres"], indirect=True)


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[Client]:
    """An operator at the Redis."""
    async with Client.from_url(redis.url) as client:
        yield client


# ── Redis ─────────────────────────────────────────────────────────────────────────────────────────────


@on_redis
@pytest.mark.parametrize("type", ["pubsub", "normal"])
async def test_clients_that_redis_throws_out_come_back(client: Client, new_node: NewNode, type: str) -> None:
    """As it does with a subscriber who is too slow: only one of the two connections breaks."""
    node, other = await new_node(), await new_node()
    await node.bus.join("ann")
    node.ear.told.clear()
    await client.execute_command(  # type: ignore[no-untyped-call]
        "CLIENT", "KILL", "TYPE", type, "SKIPME", "yes"
    )
    await node.ear.until(lambda: None in node.ear.told)
    await eventually(lambda: other.bus.status() is None)
    other.bus.signal(["ann"])
    await node.ear.hears("ann")


@on_redis
async def test_flushall_changes_nothing(client: Client, new_node: NewNode) -> None:
    node, other = await new_node(), await new_node()
    await node.bus.join("ann")
    await client.flushall()
    other.bus.signal(["ann"])
    await node.ear.hears("ann")
    assert node.ear.told.count(None) == 1


@on_redis
async def test_a_full_redis_lets_it_in_when_there_is_room(client: Client, new_node: NewNode) -> None:
    most = str((await client.config_get("maxclients"))["maxclients"])
    await client.config_set("maxclients", 1)
    try:
        node = await new_node()
        assert node.bus.status() is not None
    finally:
        await client.config_set("maxclients", most)
    await eventually(lambda: node.bus.status() is None)


async def test_redis_with_a_password_and_only_the_commands_it_takes() -> None:
    rules = "on >p@ss/word resetchannels &pns:0:* +publish +subscribe +unsubscribe"
    async with Redis("--user", "bus", *rules.split()) as redis:
        wire = WIRES["redis"](redis.url.replace("//", "//bus:p%40ss%2Fword@"))
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await wire.connect(lambda channel, text: heard.put_nowait((channel, text)))
        listening = asyncio.create_task(wire.listen())
        await wire.subscribe({"all"})
        await wire.publish([("all", "hello")])
        assert await heard.get() == ("all", "hello")
        listening.cancel()
        await asyncio.wait([listening])
        await wire.close()


# ── NATS ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "login"),
    [(["--user", "bus", "--pass", "p@ss/word"], "bus:p%40ss%2Fword@"), (["--auth", "tok@en"], "tok%40en@")],
    ids=["password", "token"],
)
async def test_nats_with_a_login(options: list[str], login: str) -> None:
    async with NATS(*options) as nats:
        wire = WIRES["nats"](nats.url.replace("//", f"//{login}"))
        await wire.connect(lambda channel, text: None)
        await wire.subscribe({"all"})
        await wire.close()


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────


@on_postgres
async def test_a_session_that_postgres_ends_comes_back(broker: Broker, new_node: NewNode) -> None:
    assert isinstance(broker, PostgresBroker)
    node, other = await new_node(), await new_node()
    node.ear.told.clear()
    await asyncio.to_thread(broker.postgres.terminate_backends)
    await node.ear.until(lambda: None in node.ear.told)
    await eventually(lambda: other.bus.status() is None)
    other.bus.signal(["ann"])
    await node.ear.hears("ann")


@on_postgres
async def test_a_hint_does_not_wait_for_the_disk(broker: Broker) -> None:
    """A NOTIFY is a commit: with the server's default each would cost a sync."""
    wire = PostgresWire(broker.url)
    await wire.connect(lambda channel, text: None)
    assert await wire._open.fetchval("SHOW synchronous_commit") == "off"
    await wire.close()


@on_postgres
async def test_two_databases_of_a_server_are_two_applications(broker: Broker, new_node: NewNode) -> None:
    assert isinstance(broker, PostgresBroker)
    ours, theirs = await new_node(), await new_node(await asyncio.to_thread(broker.postgres.fresh))
    ours.bus.signal(["ann"])
    await asyncio.sleep(0.1)  # nothing may come, so there is nothing to wait for
    assert theirs.heard == 0


# ── URLs ──────────────────────────────────────────────────────────────────────────────────────────────

GOOD = [
    *("redis://h", "redis://h:1/15", "redis://:p@h", "redis://u:p%40@[::1]:1/", "rediss://u:p@h:6380/2"),
    *("rediss://h?ssl_cert_reqs=none", "redis://h?health_check_interval=5"),
    *("nats://h", "nats://token@h:1", "nats://u:p@h/shop-2", "nats://[::1]:4222"),
    *(
        "postgresql://h/db",
        "postgresql://u:p@h:1/db?sslmode=require",
        "postgresql:///db?host=/run/postgresql",
    ),
]
BAD = [
    *(
        "redis://",
        "redis://:s3cret@",
        "redis://:s3/cret@h",
        "redis://h:s3cret",
        "redis://h:99999",
        "redis://h:0",
    ),
    *("redis://h/s3cret", "redis://h/-1", "redis://h?s3cret=1", "redis://h?db=s3cret", "rediss://h/1/2"),
    *("nats://", "nats://h:s3cret", "nats://h/a.s3cret", "nats://h/a b", "nats://h/>", "nats://h?s3cret=1"),
    *("postgresql://", "postgresql:///s3cret", "postgresql://u:s3/cret@h/db", "postgresql://h:99999/db"),
]


def scheme(url: str) -> str:
    name = url.partition(":")[0]
    return {"rediss": "redis", "postgresql": "postgres"}.get(name, name)


@pytest.mark.parametrize("url", GOOD)
def test_a_url_that_can_be(url: str) -> None:
    WIRES[scheme(url)](url)


@pytest.mark.parametrize("url", BAD)
def test_an_impossible_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^bus\.url ") as refusal:
        WIRES[scheme(url)](url)
    assert "cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
