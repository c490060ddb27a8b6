"""The life of a PNS inside a host: a start at the first request, its failures, and the signals of the end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus

from pns import PNS, NotStarted
from pns.testing.temporary import empty_store
from tests.harness import Device, eventually
from tests.harness.events import EventDevice
from tests.harness.site import Site


def by_cookie(request: Any) -> str | None:
    user: str | None = request.cookies.get("user")
    return user


@pytest.fixture
def pns(tmp_path: Path) -> PNS:
    return PNS(f"sqlite:///{empty_store(tmp_path / 'pns.db')}", user=by_cookie)


def mounted(pns: PNS) -> Starlette:
    return Starlette(routes=[Mount("/pns", app=pns)], lifespan=pns.lifespan)


async def livez(app: Any) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
        return (await client.get("/pns/livez")).status_code


async def test_simultaneous_first_requests_share_one_start(
    pns: PNS, caplog: pytest.LogCaptureFixture
) -> None:
    app = mounted(pns)
    try:
        first = asyncio.create_task(livez(app))
        await eventually(lambda: pns._life._starting is not None)
        others = [asyncio.create_task(livez(app)) for _ in range(10)]
        first.cancel()
        assert await asyncio.gather(*others) == [200] * 10
        assert (await pns.user("42")).unseen == 0
        assert caplog.text.count("the server sends no lifespan") == 1
    finally:
        await pns._life.end()


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_call_before_any_request_starts_too(pns: PNS, wrapped: bool) -> None:
    """But only where the host relies on a lifespan: `wrap` sees every request."""
    app = pns.wrap(Starlette()) if wrapped else mounted(pns)
    try:
        if wrapped:
            with pytest.raises(NotStarted):
                await pns.notify("42", "x")
            assert await livez(app) == 200
        await pns.notify("42", "x")
        assert (await pns.user("42")).unseen == 1
    finally:
        await pns._life.end()


def test_the_loops_end_is_the_end_and_another_loop_starts_anew(pns: PNS) -> None:
    """As Starlette's TestClient does without `with`: each request has an event loop of its own."""
    app = mounted(pns)
    before = threading.active_count()
    for _ in range(2):
        assert asyncio.run(livez(app)) == 200
        with pytest.raises(NotStarted):
            _ = pns._life.running
    assert threading.active_count() == before + 1


async def test_a_start_that_fails_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "later"
    pns = PNS(f"sqlite:///{folder}/pns.db", user=by_cookie)
    app = pns.wrap(Starlette())
    try:
        assert [await livez(app) for _ in range(3)] == [503] * 3
        assert caplog.text.count("PNS cannot start at the first request: ") == 1
        assert "Traceback" not in caplog.text
        folder.mkdir()
        assert await livez(app) == 200
    finally:
        await pns._life.end()


async def test_a_host_that_has_begun_once_is_not_started_late(pns: PNS) -> None:
    app = mounted(pns)
    async with Site(app, lifespan="on"):
        assert (await pns.user("42")).unseen == 0
    with pytest.raises(NotStarted):
        await livez(app)
    with pytest.raises(NotStarted):
        await pns.user("42")


async def test_a_host_that_never_starts_it_has_one_traceback(
    pns: PNS, caplog: pytest.LogCaptureFixture
) -> None:
    """`async with pns:` in a lifespan that the server never runs, or no line at all."""
    async with (
        Site(Starlette(routes=[Mount("/pns", app=pns)]), lifespan="off") as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        for _ in range(3):
            answer = await client.post("/pns/subscribe")
            assert answer.status_code == 500
        assert answer.json()["code"] == "internal_error"
        with pytest.raises(InvalidStatus) as refused:
            async with Device.connect(f"{site.url}/pns"):
                pass
        assert refused.value.response.status_code == 500
    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count("uvicorn without `--lifespan off`, hypercorn or granian") == 1


# ── the signals of the end ────────────────────────────────────────────────────────────────────────────


async def test_a_signal_ends_the_streams_and_reaches_the_server(pns: PNS) -> None:
    heard: list[int] = []

    def server(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, server)
    try:
        async with Site(mounted(pns)) as site, EventDevice.connect(f"{site.url}/pns", "42") as stream:
            assert await stream.count() == 0
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
            assert await stream.closed() == 1012
            assert (await pns.user("42")).devices == []  # the host's own calls go on to the end
            async with httpx.AsyncClient() as client:
                assert (await client.post(f"{site.url}/pns/subscribe")).status_code == 503
        assert heard == [signal.SIGTERM] * 2
        assert signal.getsignal(signal.SIGTERM) is server
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_signal_without_a_server_keeps_its_effect(pns: PNS) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        async with pns:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_handler_that_was_set_later_stays(pns: PNS) -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("server"))
    try:
        async with pns:
            pns_hears = signal.getsignal(signal.SIGTERM)
            assert callable(pns_hears)

            def later(number: int, frame: FrameType | None) -> None:
                heard.append("later")
                pns_hears(number, frame)

            signal.signal(signal.SIGTERM, later)
        assert signal.getsignal(signal.SIGTERM) is later
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["later", "server"]
    finally:
        signal.signal(signal.SIGTERM, before)
