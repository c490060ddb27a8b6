"""A device whose cookie's user is not logged in there any more, by whatever way it comes in."""

from __future__ import annotations

import asyncio
import json

import pytest

from pns.adapters.authorities.callback import FixedUser
from pns.errors import AuthUnavailable, Forbidden, StoreUnavailable, Unauthorized
from tests.push.scripted import ScriptedGateway
from tests.web.edge import FOREIGN, Edge
from tests.web.test_subscribe import CORS
from tests.web.ways import (
    EVERY_NO,
    EVERY_WAY,
    JSON,
    NO,
    POST,
    TOKEN,
    WAYS,
    WEBSOCKET,
    Application,
    Way,
    Word,
    ann_is_there,
    device_of,
    is_marked,
    revocations,
    revoked,
    settled,
)

# ── what leaves a device ──────────────────────────────────────────────────────────────────────────────


@EVERY_WAY
async def test_another_user_leaves_the_device(edge: Edge, application: Application, way: Way) -> None:
    cookie, device = await ann_is_there(edge)
    application.word = "bob"
    answer = await way.ask(edge, cookie)
    assert answer.status in (101, 200, 201, 404)
    assert await revoked(edge) == {device}
    assert await revoked(edge, "bob") == set(), "the one who is let in has another device"
    assert await revocations(edge) == 1


@EVERY_NO
@EVERY_WAY
async def test_a_no_leaves_the_device_and_marks_its_cookie_once(
    edge: Edge, application: Application, way: Way, status: int
) -> None:
    cookie, device = await ann_is_there(edge)
    application.word = NO[status]
    first = await way.ask(edge, cookie)
    assert (first.status, first.sets, is_marked(edge, first.cookie)) == (status, True, True)
    assert await revoked(edge) == {device}
    again = [await way.ask(edge, first.cookie) for _ in range(3)]
    assert [(answer.status, answer.sets) for answer in again] == [(status, False)] * 3
    assert await revocations(edge) == 1, "a left cookie costs a write"
    assert not edge.node.departures._turns["ann"][device].again, "a left cookie puts a write off"


@EVERY_WAY
@pytest.mark.parametrize("word", ["ann", AuthUnavailable(), StoreUnavailable()], ids=repr)
async def test_nothing_else_does(edge: Edge, application: Application, way: Way, word: Word) -> None:
    cookie, _ = await ann_is_there(edge)
    application.word = word
    answer = await way.ask(edge, cookie)
    assert (answer.status == 503) == (word != "ann")
    assert not is_marked(edge, answer.cookie)
    assert await revocations(edge) == 0


@EVERY_WAY
async def test_a_refused_page_leaves_nothing(edge: Edge, application: Application, way: Way) -> None:
    cookie, _ = await ann_is_there(edge)
    application.word = Forbidden()
    answer = await way.ask(edge, cookie, origin="https://evil.example")
    assert (answer.status, answer.sets, await revocations(edge)) == (403, False, 0)


@pytest.mark.parametrize("cookie", ["", "pns_device=forged", "pns_device=WyJkMSIsImFubiJd.forged"])
async def test_a_cookie_that_pns_did_not_sign_leaves_nothing(
    edge: Edge, application: Application, cookie: str
) -> None:
    words: tuple[Word, ...] = ("bob", *NO.values())
    for word in words:
        application.word = word
        answer = await POST.ask(edge, cookie)
        assert answer.sets == (word == "bob")
    assert await revocations(edge) == 0


async def test_a_user_whom_the_host_names_leaves_nothing(edge: Edge) -> None:
    cookie, _ = await ann_is_there(edge)
    bob = FixedUser("bob", revocation=0)
    assert (await WEBSOCKET.ask(edge, cookie, host_says=bob)).status == 101
    await edge.node.changes.revoke("bob")
    refused = await WEBSOCKET.ask(edge, cookie, host_says=bob)
    assert (refused.status, refused.sets) == (401, False)
    assert (await revoked(edge), await revocations(edge)) == (set(), 1)


# ── the answer, and the way back ──────────────────────────────────────────────────────────────────────


@EVERY_NO
@EVERY_WAY
async def test_the_mark_comes_with_the_flags_and_for_pages_of_allowed_origins(
    edge: Edge, application: Application, way: Way, status: int
) -> None:
    cookie, _ = await ann_is_there(edge)
    application.word = NO[status]
    answer = await way.ask(edge, cookie, origin=FOREIGN)
    flags = answer.headers["set-cookie"].split("; ")[1:]
    assert flags == ["Path=/", "Max-Age=31536000", "HttpOnly", "SameSite=Lax", "Secure"]
    assert {name: answer.headers[name] for name in CORS} == CORS


@EVERY_WAY
async def test_a_yes_takes_the_mark_off_and_keeps_the_device(
    edge: Edge, application: Application, way: Way
) -> None:
    cookie, device = await ann_is_there(edge)
    application.word = Unauthorized()
    left = await way.ask(edge, cookie)
    application.word = "ann"
    back = await POST.ask(edge, left.cookie)
    assert (back.status, device_of(edge, back), is_marked(edge, back.cookie)) == (200, device, False)
    assert (await WEBSOCKET.ask(edge, back.cookie)).status == 101
    application.word = Unauthorized()
    assert is_marked(edge, (await way.ask(edge, back.cookie)).cookie)


async def test_one_no_to_several_marks_each_ones_own_cookie(edge: Edge, application: Application) -> None:
    browsers = [await ann_is_there(edge) for _ in range(3)]
    application.word = same = Unauthorized()
    answers = await asyncio.gather(*(POST.ask(edge, cookie) for cookie, _ in browsers))
    assert [device_of(edge, answer) for answer in answers] == [device for _, device in browsers]
    assert application.word == same, "nobody writes into an answer that others share"
    assert same.headers == ()
    assert await revoked(edge) == {device for _, device in browsers}


async def test_another_user_after_a_no_is_another_user(
    edge: Edge, application: Application, phones: ScriptedGateway
) -> None:
    """The usual way: Ann's session ends, then Bob logs in. Only he shows that her pushes are out of place."""
    cookie, device = await ann_is_there(edge)
    await WAYS["POST /devices"].ask(edge, cookie)
    application.word = Unauthorized()
    left = await POST.ask(edge, cookie)
    assert [kept.device_id for kept in await edge.node.store.outbox.devices("ann")] == [device]
    application.word = "bob"
    his = await POST.ask(edge, left.cookie)
    await settled(edge)
    assert [gone.device_id for gone in phones.released] == [device]
    assert await edge.node.store.outbox.devices("ann") == []
    assert (is_marked(edge, his.cookie), device_of(edge, his) == device) == (False, False)


# ── registrations ─────────────────────────────────────────────────────────────────────────────────────


@EVERY_WAY
async def test_another_user_takes_the_registration_away(
    edge: Edge, application: Application, phones: ScriptedGateway, way: Way
) -> None:
    cookie, device = await ann_is_there(edge)
    desk, _ = await ann_is_there(edge)
    await WAYS["POST /devices"].ask(edge, cookie)
    await Way("POST", "/devices", TOKEN.replace(b"a-token", b"desk"), JSON).ask(edge, desk)
    application.word = "bob"
    await way.ask(edge, cookie)
    await settled(edge)
    assert [(gone.user_id, gone.device_id) for gone in phones.released] == [("ann", device)]
    assert [kept.address for kept in await edge.node.store.outbox.devices("ann")] == ["desk"]


@EVERY_NO
async def test_a_no_leaves_the_registration(
    edge: Edge, application: Application, phones: ScriptedGateway, status: int
) -> None:
    cookie, device = await ann_is_there(edge)
    await WAYS["POST /devices"].ask(edge, cookie)
    application.word = NO[status]
    await POST.ask(edge, cookie)
    await settled(edge)
    assert phones.released == []
    assert [kept.device_id for kept in await edge.node.store.outbox.devices("ann")] == [device]


async def test_a_device_of_somebody_else_is_not_removed(
    edge: Edge, application: Application, phones: ScriptedGateway
) -> None:
    """What the browser is called now is its new owner's, whatever an old copy of its cookie says."""
    cookie, device = await ann_is_there(edge)
    answer = await edge.application.post(
        "/users/carol/devices", json={**json.loads(TOKEN), "device_id": device}
    )
    registered = answer.json()["device_id"]
    application.word = "bob"
    await POST.ask(edge, cookie)
    await settled(edge)
    assert phones.released == []
    assert [kept.device_id for kept in await edge.node.store.outbox.devices("carol")] == [registered]
