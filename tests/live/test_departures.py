"""Departures: how often, how much, at the same time, and with a store that is away."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pns.errors import Forbidden, StoreUnavailable, Unauthorized
from pns.live import departures
from pns.live.departures import MOST_DEVICES, ONCE_SECONDS
from pns.testing import FakeClock
from tests.engine import turns
from tests.push.scripted import ScriptedGateway
from tests.web.edge import Edge, an_edge, in_time
from tests.web.ways import (
    EVERY_NO,
    NO,
    POST,
    WAYS,
    WEBSOCKET,
    Application,
    Word,
    ann_is_there,
    is_marked,
    revocations,
    revoked,
)

# ── how often, and when the store is away ─────────────────────────────────────────────────────────────


@EVERY_NO
async def test_a_second_time_is_done_when_ten_seconds_are_over(
    edge: Edge, application: Application, clock: FakeClock, status: int
) -> None:
    cookie, _ = await ann_is_there(edge)
    application.word = NO[status]
    for _ in range(5):
        assert is_marked(edge, (await POST.ask(edge, cookie)).cookie)
    assert await revocations(edge) == 1
    clock.advance(ONCE_SECONDS - 0.5)
    await edge.node.departures.tick()
    assert await revocations(edge) == 1, "the ten seconds are not over"

    async def twice() -> bool:
        return await revocations(edge) == 2

    await in_time(clock, twice)
    await in_time(clock, lambda: not edge.node.departures._turns)
    assert await revocations(edge) == 2, "five times within ten seconds are two"


async def test_a_second_time_is_done_at_the_stop(
    tmp_path: Path, application: Application, clock: FakeClock
) -> None:
    async with an_edge(tmp_path, application, clock=clock) as edge:
        cookie, _ = await ann_is_there(edge)
        application.word = Unauthorized()
        for _ in range(2):
            await POST.ask(edge, cookie)
        assert await revocations(edge) == 1
    with closing(sqlite3.connect(tmp_path / "pns.db")) as file:
        written = file.execute("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'").fetchone()
    assert written == (2,)


@pytest.mark.parametrize("word", ["bob", Unauthorized(), Forbidden()], ids=repr)
async def test_a_store_that_cannot_be_written_puts_it_off(
    edge: Edge,
    application: Application,
    clock: FakeClock,
    phones: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
    word: Word,
) -> None:
    cookie, device = await ann_is_there(edge)
    await WAYS["POST /devices"].ask(edge, cookie)
    application.word = word
    tried = []

    async def away(*device: str, **how: Any) -> Any:
        tried.append(device)
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(edge.node.store, "revoke", away)
        patch.setattr(edge.node.store.outbox, "unregister", away)
        answer = await POST.ask(edge, cookie)
        assert answer.status == (200 if word == "bob" else getattr(word, "status", 0))
        assert answer.sets
        await in_time(clock, lambda: len(tried) > 3)
    assert (await revoked(edge), phones.released) == (set(), [])

    async def made_up_for() -> bool:
        gone = [device] if word == "bob" else []
        return await revoked(edge) == {device} and [d.device_id for d in phones.released] == gone

    await in_time(clock, made_up_for)


async def test_a_store_that_is_away_until_the_stop_is_told_of(
    tmp_path: Path,
    application: Application,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def away(*device: str, **how: Any) -> int:
        raise StoreUnavailable

    async with an_edge(tmp_path, application, clock=clock) as edge:
        cookie, _ = await ann_is_there(edge)
        application.word = Unauthorized()
        monkeypatch.setattr(edge.node.store, "revoke", away)
        await POST.ask(edge, cookie)
    assert "devices that were left are not revoked" in caplog.text


async def test_a_browser_that_goes_away_while_it_is_written_stays_left(
    edge: Edge, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie, device = await ann_is_there(edge)
    application.word = Unauthorized()
    begun, slow, revoke = asyncio.Event(), asyncio.Event(), edge.node.store.revoke

    async def slowly(*device: str, **how: Any) -> int:
        begun.set()
        await slow.wait()
        return await revoke(*device, **how)

    monkeypatch.setattr(edge.node.store, "revoke", slowly)
    request = asyncio.ensure_future(POST.ask(edge, cookie))
    await begun.wait()
    request.cancel()
    await asyncio.wait([request])
    slow.set()
    assert await revoked(edge) == {device}


# ── at the same time ──────────────────────────────────────────────────────────────────────────────────


async def test_two_tabs_with_the_old_cookie_while_bob_logs_in(
    edge: Edge, application: Application, clock: FakeClock
) -> None:
    cookie, device = await ann_is_there(edge)
    application.gate.clear()
    tabs = [asyncio.ensure_future(way.ask(edge, cookie)) for way in (POST, WEBSOCKET, POST)]
    await turns()
    application.word = "bob"
    application.gate.set()
    answers = await asyncio.gather(*tabs)
    assert [answer.status for answer in answers] == [200, 101, 200]
    assert await revoked(edge) == {device}
    for answer in answers:
        assert (await POST.ask(edge, answer.cookie)).cookie == answer.cookie
    await in_time(clock, lambda: not edge.node.departures._turns)
    assert await revoked(edge, "bob") == set()


async def test_many_devices_of_one_user_are_all_left(edge: Edge, application: Application) -> None:
    """One by one the first; from there on with all devices, the one that is not left included."""
    browsers = [await ann_is_there(edge) for _ in range(MOST_DEVICES + 5)]
    application.word = Unauthorized()
    for cookie, _ in browsers[1:]:
        await POST.ask(edge, cookie)
    assert await revocations(edge) == MOST_DEVICES + 1
    state = (await edge.node.store.states(["ann"]))["ann"]
    assert all(state.revoked(device) for _, device in browsers)


async def test_an_application_that_flips_costs_little(
    edge: Edge, application: Application, clock: FakeClock
) -> None:
    """One browser, alternately two users, as fast as can be: each answer names a device that is new."""
    cookie, _ = await ann_is_there(edge)
    flips = 20 * MOST_DEVICES
    for number in range(flips):
        application.word = ("bob", "ann")[number % 2]
        cookie = (await POST.ask(edge, cookie)).cookie
    written = await revocations(edge)
    assert 2 * MOST_DEVICES <= written <= 2 * (MOST_DEVICES + 1) < flips
    kept = edge.node.departures
    assert sum(map(len, kept._turns.values())) <= 2 * (MOST_DEVICES + 1)
    assert kept._registered == set()
    await in_time(clock, lambda: not kept._turns)
    assert await revocations(edge) <= written + 2


async def test_a_slow_flip_does_not_fill_the_store(
    edge: Edge, application: Application, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each revocation that a user has is read with every count."""
    most = 2 * MOST_DEVICES
    monkeypatch.setattr(departures, "MOST_REVOCATIONS", most)
    cookie, _ = await ann_is_there(edge)
    for number in range(3 * most):
        application.word = ("bob", "ann")[number % 2]
        cookie = (await POST.ask(edge, cookie)).cookie
        if number % MOST_DEVICES == 0:
            clock.advance(ONCE_SECONDS + 1)
            await edge.node.departures.tick()
    for user in ("ann", "bob"):
        assert len(await revoked(edge, user)) == most + 1
