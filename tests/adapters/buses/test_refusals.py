"""A broker that takes all hints but some: these are dropped and counted, and all others flow on one line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from pns.adapters.buses.interest import channel_of
from tests.adapters.buses.conftest import NewNode, Node
from tests.harness import eventually
from tests.harness.nats import NATS
from tests.harness.postgres import Postgres
from tests.harness.redis import Redis

CALM = {"patience_seconds": 600.0}
"""Nothing here is about a broker that is silent, and a busy machine may be."""


def dropped(node: Node) -> float:
    return node.metrics.registry.get_sample_value("pns_hints_total", {"way": "dropped"}) or 0.0


def losses(node: Node) -> float:
    return node.metrics.registry.get_sample_value("pns_bus_losses_total") or 0.0


def _has_dropped(node: Node, number: int) -> bool:
    return dropped(node) >= number


async def drops(sender: Node, listener: Node, user_id: str) -> None:
    """`user_id`'s hints are dropped, again and again, and bob's are heard."""
    await listener.bus.join("bob")
    for number in range(1, 4):
        listener.ear.told.clear()
        sender.bus.signal([user_id, "bob"])
        await listener.ear.hears("bob")
        await eventually(partial(_has_dropped, sender, number))
    assert sender.bus.status() is None


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_a_channel_without_a_right(redis: Redis, new_node: NewNode) -> None:
    channels = [f"&pns:0:{name}" for name in ("canary-*", "all", channel_of("bob"))]
    rights = ["on", ">secret", "resetchannels", *channels, "+publish", "+subscribe", "+unsubscribe"]
    await redis.run("ACL", "SETUSER", "narrow", *rights)
    sender, listener = (
        await new_node(redis.url.replace("//", "//narrow:secret@"), **CALM),
        await new_node(**CALM),
    )
    await drops(sender, listener, "ann")
    assert losses(sender) == 0


@pytest.mark.parametrize("kind", ["nats"], indirect=True)
async def test_a_message_that_is_too_large(new_node: NewNode, tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text("max_payload: 1024\n")
    async with NATS("--config", str(config)) as nats:
        sender, listener = await new_node(nats.url, **CALM), await new_node(nats.url, **CALM)
        await drops(sender, listener, "a" * 2_000)
        assert losses(sender) == 0


@pytest.mark.parametrize("kind", ["nats"], indirect=True)
async def test_a_subject_without_a_right(new_node: NewNode, tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    deny = f'permissions: {{publish: {{deny: ["pns.{channel_of("ann")}"]}}}}'
    config.write_text(f"authorization {{users: [{{user: narrow, password: secret, {deny}}}]}}\n")
    async with NATS("--config", str(config)) as nats:
        url = nats.url.replace("//", "//narrow:secret@")
        sender, listener = await new_node(url, **CALM), await new_node(url, **CALM)
        await drops(sender, listener, "ann")
        assert losses(sender) == 0


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
async def test_a_letter_that_the_database_has_no_room_for(
    postgres: Postgres, new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PNS refuses such a database at the start; a node of before does not."""
    monkeypatch.setattr("pns.adapters.buses.postgres.require_utf8", lambda connection: None)
    postgres.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    url = postgres.url_of("latin")
    sender, listener = await new_node(url, **CALM), await new_node(url, **CALM)
    await drops(sender, listener, "€")
    assert losses(sender) == 0
