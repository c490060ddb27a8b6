"""A connection that a ticket opened stays as long as new tickets of its user and device renew it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pns.errors import StoreUnavailable
from pns.live.admission import Admitted
from pns.live.connection import Connection
from pns.settings import AuthSettings, LimitsSettings
from pns.testing import Closed, Device
from pns.web.tickets import Tickets
from tests.harness import eventually
from tests.web.edge import FOREIGN, in_time
from tests.web.ticketed import OWN, RECHECK, World

SLACK = 5.0


@pytest.fixture
async def mine(world: World) -> AsyncIterator[tuple[Device, str]]:
    """Ann's open connection, and the token of its device."""
    answer = await world.answer()
    device = world.device(answer["ticket"])
    await device.open()
    await device.count_is(0)
    yield device, answer["device_token"]
    await device.leave()


async def renew(device: Device, ticket: str) -> Any:
    return await device.ask({"renewTicket": ticket})


def refused(answer: Any) -> str:
    """Why a renewal was refused; any other answer fails."""
    assert list(answer) == ["error"], answer
    assert answer["error"]["code"] == "bad_request"
    return str(answer["error"]["message"])


def only(world: World) -> Connection:
    (connection,) = world.edge.node.hub
    return connection


async def lifetime(world: World, device: Device, *, at_least: float = RECHECK) -> float:
    """Seconds until the connection is closed, with 4502."""
    begin = world.clock.monotonic()
    await until_closed(world, at_least)
    assert await device.closed() == 4502
    return world.clock.monotonic() - begin


async def until_closed(world: World, at_least: float) -> None:
    for seconds in (at_least - 1, 0.5):
        world.clock.advance(seconds)
        await eventually(lambda: world.clock.sleepers)  # the sweep has looked, and waits again
        assert len(world.edge.node.hub) == 1
    await in_time(world.clock, lambda: not len(world.edge.node.hub))


# ── its end ───────────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_renewal_it_ends(world: World, mine: tuple[Device, str]) -> None:
    asked = len(world.login.asked)
    assert RECHECK <= await lifetime(world, mine[0]) <= RECHECK + SLACK
    assert len(world.login.asked) == asked, "nobody can be asked about it"


async def test_each_renewal_counts_from_its_moment(world: World, mine: tuple[Device, str]) -> None:
    device, token = mine
    for _ in range(3):
        world.clock.advance(RECHECK - 10)
        ticket = await world.ticket(device_token=token, renew=True)
        assert await renew(device, ticket) == {"ticketRenewed": {"seconds": RECHECK}}
    assert RECHECK <= await lifetime(world, device) <= RECHECK + SLACK


async def test_a_refused_renewal_moves_nothing(world: World, mine: tuple[Device, str]) -> None:
    device, _ = mine
    world.clock.advance(RECHECK - 20)
    refused(await renew(device, "nonsense"))
    assert await lifetime(world, device, at_least=20) <= 20 + SLACK


async def test_a_stream_ends_and_is_opened_anew(world: World) -> None:
    """Its last event is `close` with the code; it ends as a WebSocket would, so nothing else is special."""
    headers = {"accept": "text/event-stream", "origin": FOREIGN}
    for _ in range(2):
        reading = world.edge.client.get(
            "/subscribe", params={"ticket": await world.ticket()}, headers=headers
        )
        response = await until_it_ends(world, reading)
        assert response.status_code == 200
        assert "set-cookie" not in response.headers
        assert response.text.endswith("\n\n")
        assert '"code":4502' in response.text.rpartition("event: close\ndata: ")[2]


async def until_it_ends(world: World, reading: Any) -> Any:
    task = asyncio.create_task(reading)
    await eventually(lambda: len(world.edge.node.hub))
    begin = world.clock.monotonic()
    await until_closed(world, RECHECK)
    assert RECHECK <= world.clock.monotonic() - begin <= RECHECK + SLACK
    return await task


@pytest.mark.parametrize("auth", [AuthSettings(recheck_seconds=0)])
async def test_where_nobody_is_rechecked_it_neither_ends_nor_is_renewed(world: World) -> None:
    answer = await world.answer()
    assert answer["renew_seconds"] is None
    device = world.device(answer["ticket"])
    await device.open()
    refused(await renew(device, await world.ticket(device_token=answer["device_token"])))
    for _ in range(100):
        world.clock.advance(3600)
        await device.ask({"seenNotificationsRequest": {}})
    assert len(world.edge.node.hub) == 1
    await device.leave()


# ── what is no renewal ────────────────────────────────────────────────────────────────────────────────


async def test_a_ticket_of_another_user_or_device_is_none_and_stays_good(
    world: World, mine: tuple[Device, str]
) -> None:
    device, token = mine
    for foreign in (await world.ticket("bob", device_token=token), await world.ticket("ann")):
        assert "another user or device" in refused(await renew(device, foreign))
        assert await world.refused(foreign) == 101


async def test_a_used_or_expired_ticket_is_none(world: World, mine: tuple[Device, str]) -> None:
    device, token = mine
    used, old = [await world.ticket(device_token=token) for _ in range(2)]
    assert await world.refused(used) == 101
    assert "used" in refused(await renew(device, used))
    world.clock.advance(30)
    assert "expired" in refused(await renew(device, old))
    new = await world.ticket(device_token=token)
    assert "ticketRenewed" in await renew(device, new)
    refused(await renew(device, new))
    assert await world.refused(new) == 401


async def test_a_ticket_of_another_page_is_none(world: World, mine: tuple[Device, str]) -> None:
    device, token = mine
    for origin in (OWN, None):
        assert "origin" in refused(await renew(device, await world.ticket(origin=origin, device_token=token)))


async def test_a_connection_by_cookie_takes_none(world: World) -> None:
    headers = {"host": "pns.example", "origin": FOREIGN, "authorization": "Bearer ann"}
    async with Device.connect(world.edge.web, headers=headers) as device:
        cookie = device.accept_headers["set-cookie"].partition(";")[0].partition("=")[2]
        ticket = await world.ticket(device_token=cookie)
        refused(await renew(device, ticket))
        assert await world.refused(ticket) == 101
    message = {"renewTicket": await world.ticket()}
    sent = await world.edge.client.post("/messages", json=message, headers=headers)
    assert (sent.status_code, sent.json()["code"]) == (422, "invalid")
    assert "bad_request" in sent.json()["detail"]


async def test_a_store_that_is_away_is_no_verdict(
    world: World, mine: tuple[Device, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(ticket_id: str, expires_at: int) -> bool:
        raise StoreUnavailable

    device, token = mine
    ticket = await world.ticket(device_token=token)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "use_ticket", away)
        assert (await renew(device, ticket))["error"]["code"] == "unavailable"
    assert "ticketRenewed" in await renew(device, ticket)


@pytest.mark.parametrize("limits", [LimitsSettings(requests_per_second=2)])
async def test_it_counts_to_the_rate(world: World, mine: tuple[Device, str]) -> None:
    codes = [(await renew(mine[0], "x"))["error"]["code"] for _ in range(13)]
    assert codes == ["bad_request"] * 4 + ["rate_limited"] * 9
    with pytest.raises(Closed, match="4429"):
        await renew(mine[0], "x")


# ── revocations ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_renewal_knows_all_revocations_before_its_question(
    world: World, mine: tuple[Device, str]
) -> None:
    """Ann was logged out and logged in again: her page asks anew before it hears that it should end."""
    device, token = mine
    revoked = await world.store.revoke("ann")
    assert "ticketRenewed" in await renew(device, await world.ticket(device_token=token, renew=True))
    assert only(world).revocation == revoked
    await world.edge.application.post(
        "/notify", json={"user_id": "ann", "notifications": [{"notification_data": "x"}]}
    )
    await device.count_is(1)
    await world.edge.application.delete("/users/ann/connections")
    assert await device.closed() == 4501


async def test_a_ticket_older_than_a_revocation_renews_nothing(
    world: World, mine: tuple[Device, str]
) -> None:
    device, token = mine
    ticket = await world.ticket(device_token=token)
    connection = only(world)
    await world.store.revoke("ann")
    before = (connection.revocation, connection.recheck_at)
    assert "revoked" in refused(await renew(device, ticket))
    assert (connection.revocation, connection.recheck_at) == before


# ── none of ten thousand ──────────────────────────────────────────────────────────────────────────────

Forge = Callable[[random.Random, Tickets], str]


def forged(chance: random.Random, tickets: Tickets, device_id: str) -> str:
    """A ticket that is good, but for one thing."""
    ours = Admitted("ann", device_id, 0)
    kind = chance.randrange(6)
    if kind == 0:
        return tickets.issue(Admitted(f"user {chance.randrange(99)}", device_id, 2**40), FOREIGN)
    if kind == 1:
        return tickets.issue(Admitted("ann", f"{chance.getrandbits(128):032x}", 2**40), FOREIGN)
    if kind == 2:
        return tickets.issue(ours, chance.choice(["", OWN, "https://app.example:8443", "http://app.example"]))
    if kind == 3:
        return Tickets("another secret", tickets._clock).issue(ours, FOREIGN)
    text = tickets.issue(ours, FOREIGN)
    at = chance.choice([chance.randrange(len(text)), len(text) - 1])  # the last has spare bits
    changed = chance.choice([c for c in "ABCxyz019-_." if c != text[at]])
    return text[:at] + (changed if kind == 4 else "") + text[at + 1 :]


async def test_of_ten_thousand_tickets_that_are_not_its_own_none_renews(
    world: World, mine: tuple[Device, str]
) -> None:
    connection, chance = only(world), random.Random(11)
    tickets = await world.edge.web._tickets()
    before = (connection.revocation, connection.recheck_at)
    for _ in range(10_000):
        answer = await connection._renew(forged(chance, tickets, connection.device_id))
        assert '"bad_request"' in answer, answer
    assert (connection.revocation, connection.recheck_at) == before
    own = tickets.issue(Admitted("ann", connection.device_id, 0), FOREIGN)
    assert "ticketRenewed" in await connection._renew(own)
