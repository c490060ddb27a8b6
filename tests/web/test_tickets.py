"""Logins without a cookie: a ticket opens one connection, for its user, its device and its page alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pns.errors import StoreUnavailable
from pns.live.admission import Admitted
from pns.model.messages import CloseCode
from pns.settings import LimitsSettings
from pns.testing import Device, FakeClock
from pns.web.tickets import Tickets
from tests.harness import eventually
from tests.web.edge import FOREIGN, an_edge
from tests.web.ticketed import OWN, World

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 §5.6.2"""


def count_uses(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of all tickets that the store is asked about from now on."""
    uses: list[str] = []
    use = world.store.use_ticket

    async def counted(ticket_id: str, expires_at: int) -> bool:
        uses.append(ticket_id)
        return await use(ticket_id, expires_at)

    monkeypatch.setattr(world.store, "use_ticket", counted)
    return uses


# ── asking for one ────────────────────────────────────────────────────────────────────────────────────


async def test_the_answer_has_a_ticket_and_no_cookie(world: World) -> None:
    response = await world.post({"ticket": True})
    answer = response.json()
    assert set(answer) == {
        *("user_id", "device_id", "heartbeat_seconds"),
        *("ticket", "ticket_seconds", "device_token", "renew_seconds"),
    }
    assert (answer["user_id"], answer["ticket_seconds"], answer["renew_seconds"]) == ("ann", 30, 60)
    assert "set-cookie" not in response.headers
    assert response.headers["access-control-allow-origin"] == FOREIGN
    assert response.headers["cache-control"] == "no-store"
    assert TOKEN.fullmatch(answer["ticket"])


def test_the_longest_ticket_fits_in_a_header_and_in_a_message() -> None:
    user = "".join(chr(0x10000 + 7919 * n % 0xFFFF) for n in range(255))
    origin = "https://" + ".".join(["x" * 63] * 4)
    text = Tickets("secret", FakeClock()).issue(Admitted(user, "d" * 32, 2**62), origin)
    ticket = Tickets("secret", FakeClock()).read(text, lambda asked_by: asked_by == origin)
    assert (ticket.user_id, ticket.device_id, ticket.revocation) == (user, "d" * 32, 2**62)
    assert TOKEN.fullmatch(text)
    assert len(text) < LimitsSettings().max_message_bytes - 100


async def test_the_device_is_that_of_its_token(world: World) -> None:
    first = await world.answer()
    again = await world.answer(device_token=first["device_token"])
    assert (again["device_id"], again["device_token"]) == (first["device_id"], first["device_token"])
    cookie = f"pns_device={first['device_token']}"
    assert (await world.post({"ticket": True}, cookie=cookie)).json()["device_id"] != first["device_id"]
    other = await world.answer("bob", device_token=first["device_token"])
    assert other["device_id"] != first["device_id"]
    assert (await world.store.states(["ann"]))["ann"].revocations == {}, "a ticket leaves no device"


@pytest.mark.parametrize("token", ["", "nonsense", "a.b", "é", "x" * 5000, None])
async def test_a_bad_token_is_as_none(world: World, token: str | None) -> None:
    first = await world.answer()
    assert (await world.answer(device_token=token))["device_id"] != first["device_id"]


async def test_a_token_is_what_the_cookie_holds(world: World) -> None:
    response = await world.edge.client.post("/subscribe", headers={"authorization": "Bearer ann"})
    token = response.cookies["pns_device"]
    answer = await world.answer(device_token=token)
    assert (answer["device_id"], answer["device_token"]) == (response.json()["device_id"], token)


async def test_renewing_asks_past_what_is_kept(world: World) -> None:
    await world.ticket()
    await world.ticket(renew=True)
    await world.edge.client.post("/subscribe", headers={"authorization": "Bearer ann"})
    assert [any(how.values()) for how in world.login.asked] == [False, True, False]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"ticket": false}'])
async def test_who_asks_for_no_ticket_is_answered_as_ever(world: World, content: bytes) -> None:
    response = await world.post(content)
    assert set(response.json()) == {"user_id", "device_id", "heartbeat_seconds"}
    assert "pns_device=" in response.headers["set-cookie"]


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/html", ""])
async def test_without_a_body_any_media_type_will_do(world: World, media_type: str) -> None:
    assert (await world.post(b"", content_type=media_type)).status_code == 200


async def test_a_body_may_come_as_plain_text(world: World) -> None:
    response = await world.post({"ticket": True}, content_type="text/plain;charset=UTF-8")
    assert "ticket" in response.json()


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        ({"ticket": True, "tikcet": 1}, "application/json", 422, "invalid"),
        ({"ticket": 1}, "application/json", 422, "invalid"),
        ({"ticket": True, "device_token": 5}, "application/json", 422, "invalid"),
        ({"renew": True}, "application/json", 422, "invalid"),
        ({"device_token": "x"}, "application/json", 422, "invalid"),
        ([], "application/json", 422, "invalid"),
        (b"{", "application/json", 400, "bad_json"),
        ({"ticket": True}, "text/html", 415, "unsupported_media_type"),
        ({"ticket": True, "device_token": "x" * 16_384}, "application/json", 413, "too_large"),
    ],
)
async def test_a_body_that_is_none_is_refused_before_anybody_is_asked(
    world: World, body: object, media_type: str, status: int, code: str
) -> None:
    response = await world.post(body, content_type=media_type)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert world.login.asked == []


async def test_a_no_is_a_no_and_the_origin_rule_holds(world: World) -> None:
    assert (await world.post({"ticket": True}, None)).status_code == 401
    asked = len(world.login.asked)
    assert (await world.post({"ticket": True}, origin="https://evil.example")).status_code == 403
    assert len(world.login.asked) == asked


async def test_a_preflight_allows_what_such_a_page_sends(world: World) -> None:
    headers = (await world.edge.ask("OPTIONS")).headers
    assert {"authorization", "content-type"} <= set(headers["access-control-allow-headers"].split(", "))
    assert "PATCH" in headers["access-control-allow-methods"]


async def test_messages_and_devices_take_the_headers_alone(world: World) -> None:
    headers = {"authorization": "Bearer ann", "origin": FOREIGN, "content-type": "application/json"}
    client = world.edge.client
    answer = await client.post("/messages", content=b'{"seenNotificationsRequest": {}}', headers=headers)
    assert answer.json() == {"seenNotificationData": []}
    removed = await client.delete("/devices/none", headers=headers)
    assert (removed.status_code, removed.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("limits", [LimitsSettings(connections_per_user=1, connections=1)])
async def test_where_there_is_no_room_a_renewal_is_given_all_the_same(world: World) -> None:
    answer = await world.answer()
    device = world.device(answer["ticket"])
    await device.open()
    token = answer["device_token"]
    assert (await world.post({"ticket": True, "device_token": token})).status_code == 503
    ticket = await world.ticket(device_token=token, renew=True)
    assert await device.ask({"renewTicket": ticket}) == {"ticketRenewed": {"seconds": 60}}
    await device.leave()


# ── opening a connection ──────────────────────────────────────────────────────────────────────────────


async def test_a_ticket_opens_a_connection_and_nobody_is_asked(world: World) -> None:
    answer = await world.answer()
    asked = len(world.login.asked)
    cookie = "pns_device=x; user=bob"
    async with Device.connect(
        world.edge.web,
        headers={"host": "pns.example", "origin": FOREIGN, "cookie": cookie, "authorization": "Bearer bob"},
        ticket=answer["ticket"],
    ) as device:
        assert device.subprotocol == "pns.v1"
        assert "set-cookie" not in device.accept_headers
        await device.count_is(0)
        (presence,) = world.edge.node.hub.presences("ann")
        assert presence.device_id == answer["device_id"]
    assert len(world.login.asked) == asked


@pytest.mark.parametrize("origin", [FOREIGN, OWN, None])
async def test_a_ticket_counts_once(world: World, origin: str | None) -> None:
    ticket = await world.ticket(origin=origin)
    assert await world.refused(ticket, origin=origin) == 101
    assert await world.refused(ticket, origin=origin) == 401
    assert (await world.stream(ticket, origin=origin)).status_code == 401


async def test_a_ticket_counts_for_thirty_seconds(world: World) -> None:
    first, second = await world.ticket(), await world.ticket()
    world.clock.jump(29.999)
    assert await world.refused(first) == 101
    world.clock.jump(0.001)
    assert await world.refused(second) == 401


@pytest.mark.parametrize(
    ("asking", "opening"),
    [(FOREIGN, OWN), (OWN, FOREIGN), (FOREIGN, None), (None, FOREIGN), (OWN, None), (None, OWN)],
)
async def test_a_ticket_counts_for_the_page_that_asked(
    world: World, asking: str | None, opening: str | None
) -> None:
    ticket = await world.ticket(origin=asking)
    assert await world.refused(ticket, origin=opening) == 401
    assert await world.refused(ticket, origin=asking) == 101, "a wrong page does not use it up"


async def test_a_stream_of_ones_own_page_has_no_origin(world: World) -> None:
    """Browsers send none with a GET to the page's own origin; of another page it is no sign."""
    foreign, own = await world.ticket(), await world.ticket(origin=OWN)
    assert (await world.stream(foreign, origin=None)).status_code == 401
    refusal = await world.stream(own, origin=None, **{"sec-fetch-site": "cross-site"})
    assert refusal.status_code == 403
    reading = asyncio.create_task(world.stream(own, origin=None))
    await eventually(lambda: len(world.edge.node.hub) or reading.done())
    for connection in world.edge.node.hub:
        connection.end(CloseCode.RESTART)
    assert (await reading).status_code == 200


async def test_a_page_of_another_origin_is_refused_before_its_ticket_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = count_uses(world, monkeypatch)
    assert await world.refused(await world.ticket(), origin="https://evil.example") == 403
    assert uses == []


Worn = Callable[[World], Any]


@pytest.mark.parametrize(
    "wears",
    [
        lambda world: world.store.revoke("ann"),
        lambda world: world.store.erase("ann"),
        lambda world: world.edge.application.delete("/users/ann/connections"),
        lambda world: world.edge.application.delete("/users/ann"),
    ],
)
async def test_a_ticket_older_than_a_revocation_counts_no_more(world: World, wears: Worn) -> None:
    older = await world.ticket()
    await wears(world)
    assert await world.refused(older) == 401
    assert await world.refused(await world.ticket()) == 101


async def test_a_revocation_of_one_device_is_of_its_tickets_alone(world: World) -> None:
    first, second = await world.answer(), await world.answer()
    await world.store.revoke("ann", first["device_id"])
    assert await world.refused(first["ticket"]) == 401
    assert await world.refused(second["ticket"]) == 101


async def test_what_pns_did_not_sign_costs_neither_a_write_nor_a_question(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket, token = await world.ticket(), (await world.answer())["device_token"]
    asked, uses = len(world.login.asked), count_uses(world, monkeypatch)
    flipped = [
        ticket[:at] + ("A" if ticket[at] != "A" else "B") + ticket[at + 1 :] for at in range(len(ticket))
    ]
    for forged in [*flipped, "", ".", "a.b", token, ticket + "A", ticket[:-1], "x" * 5000, "é"]:
        assert await world.refused(forged) == 401
        assert (await world.stream(forged)).status_code == 401
    assert (uses, len(world.login.asked)) == ([], asked)
    assert await world.refused(ticket) == 101


async def test_two_nodes_at_once_let_one_in(tmp_path: Path, world: World) -> None:
    """Twenty tickets, each shown to both nodes at the same moment, and twice to one of them."""
    async with an_edge(tmp_path, world.login, clock=world.clock) as edge:
        other = World(edge, world.login, world.clock)
        secret = await world.store.secret()
        assert secret == await other.store.secret()
        for _ in range(20):
            ticket = await world.ticket()
            tries = [world.refused(ticket), other.refused(ticket), other.refused(ticket)]
            assert sorted(await asyncio.gather(*tries)) == [101, 401, 401]


async def test_without_the_store_nobody_is_let_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(ticket_id: str, expires_at: int) -> bool:
        raise StoreUnavailable

    ticket = await world.ticket()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "use_ticket", away)
        assert await world.refused(ticket) == 503
        assert (await world.stream(ticket)).json()["code"] == "store_unavailable"
    assert len(world.edge.node.hub) == 0
    assert await world.refused(ticket) == 101


@pytest.mark.parametrize("limits", [LimitsSettings(connections_per_user=1)])
async def test_the_limits_are_those_of_all_connections(world: World) -> None:
    tickets = [await world.ticket() for _ in range(2)]
    async with Device.connect(
        world.edge.web, headers={"host": "pns.example", "origin": FOREIGN}, ticket=tickets[0]
    ):
        assert (await world.post({"ticket": True})).status_code == 429
        beyond = world.device(tickets[1])
        await beyond.open()
        assert await beyond.closed() == 4509
        await beyond.leave()


async def test_a_node_that_goes_down_uses_no_ticket_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket, uses = await world.ticket(), count_uses(world, monkeypatch)
    world.edge.node.draining = True
    assert await world.refused(ticket) == 503
    assert (await world.post({"ticket": True})).json()["code"] == "draining"
    assert uses == []


async def test_two_users_of_one_browser_do_not_touch_each_other(world: World) -> None:
    """Each page has its own ticket: what ends the one's connection leaves the other's alone."""
    ann, bob = await world.answer("ann"), await world.answer("bob")
    theirs, his = world.device(ann["ticket"]), world.device(bob["ticket"])
    await theirs.open()
    await his.open()
    assert ann["device_id"] != bob["device_id"]
    await world.edge.application.post(
        "/notify", json={"user_id": "ann", "notifications": [{"notification_data": "for Ann"}]}
    )
    await theirs.count_is(1)
    await world.edge.application.delete("/users/ann/connections")
    assert await theirs.closed() == 4501
    assert (await his.unseen(), his.counts) == ([], [0])
    for device in (theirs, his):
        await device.leave()
