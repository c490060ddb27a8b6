"""PNS inside host applications: real uvicorn, real WebSocket clients, every way in of the contract."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus

from pns import PNS, Invalid, Notification, NotStarted, PNSError, Settings, Unauthorized
from pns.runtime.calls import Calls
from pns.settings import AuthSettings, ServerSettings
from pns.testing.temporary import empty_store
from tests.harness import Device, eventually
from tests.harness.site import Site


def by_cookie(request: HTTPConnection) -> str | None:
    return request.cookies.get("user")


@pytest.fixture
def pns(tmp_path: Path) -> PNS:
    return PNS(f"sqlite:///{empty_store(tmp_path / 'pns.db')}", user=by_cookie)


def mounted(pns: PNS, *more: Any, **options: Any) -> Starlette:
    return Starlette(routes=[Mount("/pns", app=pns), *more], lifespan=pns.lifespan, **options)


# ── ways to start ─────────────────────────────────────────────────────────────────────────────────────


def in_starlette(pns: PNS) -> ASGIApp:
    return mounted(pns)


def in_fastapi(pns: PNS) -> ASGIApp:
    app = FastAPI(lifespan=pns.lifespan)
    app.mount("/pns", pns)
    return app


def in_a_lifespan_of_its_own(pns: PNS) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with pns:
            yield

    return Starlette(routes=[Mount("/pns", app=pns)], lifespan=lifespan)


def wrapped(pns: PNS) -> ASGIApp:
    return pns.wrap(Starlette())


@pytest.mark.parametrize("host", [in_starlette, in_fastapi, in_a_lifespan_of_its_own, wrapped])
async def test_every_way_to_start(pns: PNS, host: Callable[[PNS], ASGIApp]) -> None:
    async with Site(host(pns), lifespan="on") as site, httpx.AsyncClient() as browser:
        answer = await browser.post(f"{site.url}/pns/subscribe", headers={"cookie": "user=42"})
        assert answer.json()["user_id"] == "42"
        assert "Path=/pns" in answer.headers["set-cookie"]
        cookie = f"user=42; {answer.headers['set-cookie'].partition(';')[0]}"
        async with Device.connect(f"{site.url}/pns", headers={"Cookie": cookie}) as device:
            ids = await pns.notify("42", ["one", Notification("two", category="order")])
            await device.count_is(2)
            assert [item["notification_id"] for item in await device.unseen()] == ids
            (known,) = (await pns.user(42)).devices
            assert known.device_id == answer.json()["device_id"]
    with pytest.raises(NotStarted):
        await pns.notify("42", "after the end")


async def test_it_may_be_started_again_but_not_twice(pns: PNS) -> None:
    for _ in range(2):
        async with pns:
            await pns.notify("42", "again")
            with pytest.raises(PNSError, match="runs already"):
                await pns.__aenter__()
            assert (await pns.user("42")).unseen > 0
    broken = PNS("sqlite:////no/such/folder/pns.db")
    for _ in range(2):
        with pytest.raises(PNSError, match="cannot be opened"):
            await broken.__aenter__()


async def test_before_the_start_the_error_is_what_to_add(pns: PNS) -> None:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("reached")

    websocket = WebSocket({"type": "websocket"}, nothing, nothing)
    calls: list[Callable[[], Any]] = [
        lambda: pns.notify("42", "x"),
        lambda: asyncio.to_thread(pns.notify_sync, "42", "x"),
        lambda: asyncio.to_thread(pns.withdraw_sync, "42", "id"),
        lambda: asyncio.to_thread(pns.disconnect_sync, "42"),
        lambda: asyncio.to_thread(pns.erase_sync, "42"),
        lambda: pns.subscribe(websocket, "42"),
        lambda: pns.user("42"),
        lambda: pns.seen("42"),
        lambda: pns.withdraw("42", "id"),
        lambda: anext(pns.export("42")),
        lambda: pns.disconnect("42"),
        lambda: pns.erase("42"),
        lambda: pns({"type": "http", "path": "/livez"}, nothing, nothing),
    ]
    for call in calls:
        with pytest.raises(NotStarted, match=r"lifespan=pns\.lifespan.*async with pns:.*pns\.wrap\("):
            await call()


async def test_the_error_says_how_to_notify_where_no_server_runs(pns: PNS, tmp_path: Path) -> None:
    """What it says is run in another process on the same file, and the open page follows."""
    with pytest.raises(NotStarted) as error:
        await pns.notify("42", "x")
    (lines,) = re.findall(r"`(async with PNS\(store\) as pns: [^`]+)`", str(error.value))
    worker = f"""
import asyncio, sys
from pns import PNS

async def main(store, user_id):
    {lines.replace("…", "'from a worker'")}

asyncio.run(main(*sys.argv[1:]))
"""
    async with Site(mounted(pns)) as site, Device.connect(f"{site.url}/pns", "42") as device:
        assert await device.count() == 0
        command = [sys.executable, "-c", worker, pns.settings.store.url, "42"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        await device.count_is(1)


async def test_a_host_that_forgot_to_start_it_reads_in_its_log_what_to_add(
    pns: PNS, caplog: pytest.LogCaptureFixture
) -> None:
    app = Starlette(routes=[Mount("/pns", app=pns)])
    async with Site(app) as site, httpx.AsyncClient() as browser:
        assert (await browser.post(f"{site.url}/pns/subscribe")).status_code == 500
    assert "lifespan=pns.lifespan" in caplog.text


async def test_two_in_one_process_do_not_meet(tmp_path: Path) -> None:
    one, two = (PNS(f"sqlite:///{tmp_path / name}.db", user=by_cookie) for name in ("one", "two"))

    @asynccontextmanager
    async def both(app: Starlette) -> AsyncIterator[None]:
        async with one, two:
            yield

    app = Starlette(routes=[Mount("/one", app=one), Mount("/two", app=two)], lifespan=both)
    async with (
        Site(app) as site,
        Device.connect(f"{site.url}/one", "42") as first,
        Device.connect(f"{site.url}/two", "42") as second,
    ):
        await one.notify("42", "for one")
        await first.count_is(1)
        await two.notify("42", ["for", "two"])
        await second.count_is(2)
        assert await first.unseen() != await second.unseen()
        assert (first.counts[:2], second.counts[:2]) == ([0, 1], [0, 2])
        await one.erase("42")
        assert await first.closed() == 4501
        assert await second.seen() != []


def test_neither_files_nor_the_environment_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nport = 'nonsense'\n")
    program = (
        "import os; before = dict(os.environ)\n"
        "from pns import PNS, Settings, SettingsError\n"
        "assert PNS('sqlite:///x.db').settings.server == Settings().server\n"
        "assert dict(os.environ) == before\n"
        "try: Settings.load()\n"
        "except SettingsError: print('as it should be')\n"
    )
    environment = {
        "PNS_SERVER__HEARTBEAT_SECONDS": "nonsense",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("as it should be\n", "")


# ── the login ─────────────────────────────────────────────────────────────────────────────────────────


async def _async_user(request: HTTPConnection) -> str | None:
    await asyncio.sleep(0)
    return by_cookie(request)


def _number(request: HTTPConnection) -> int:
    return 42


def _nobody(request: HTTPConnection) -> None:
    return None


def _broken(request: HTTPConnection) -> str:
    raise LookupError("the host's own bug")


def _no(request: HTTPConnection) -> str:
    raise Unauthorized


def _nonsense(request: HTTPConnection) -> object:
    return {"id": 42}


@pytest.mark.parametrize(
    ("user", "status"),
    [
        (by_cookie, 200),
        (_async_user, 200),
        (_number, 200),
        (_nobody, 401),
        (_no, 401),
        (_broken, 503),
        (_nonsense, 503),
        (None, 401),
    ],
)
async def test_what_the_callable_says(tmp_path: Path, user: Any, status: int) -> None:
    pns = PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=user)
    async with Site(mounted(pns)) as site, httpx.AsyncClient() as browser:
        answer = await browser.post(f"{site.url}/pns/subscribe", headers={"cookie": "user=42"})
        assert answer.status_code == status
        if status == 200:
            assert answer.json()["user_id"] == "42"
            async with Device.connect(f"{site.url}/pns", "42") as device:
                assert await device.count() == 0
        else:
            with pytest.raises(InvalidStatus) as refused:
                async with Device.connect(f"{site.url}/pns", "42"):
                    pass
            assert refused.value.response.status_code == status


async def test_a_recheck_ends_the_connection_of_who_is_logged_out(tmp_path: Path) -> None:
    logged_in = {"42", "43"}
    pns = PNS(
        f"sqlite:///{tmp_path / 'pns.db'}",
        user=lambda request: user if (user := by_cookie(request)) in logged_in else None,
        settings=Settings(auth=AuthSettings(recheck_seconds=0.2)),
    )
    async with (
        Site(mounted(pns)) as site,
        Device.connect(f"{site.url}/pns", "42") as leaving,
        Device.connect(f"{site.url}/pns", "43") as staying,
    ):
        await leaving.count_is(0)
        logged_in.remove("42")
        assert await leaving.closed() == 4501
        await pns.notify("43", "still here")
        await staying.count_is(1)


async def test_without_an_application_key_the_endpoints_are_closed(pns: PNS) -> None:
    async with Site(mounted(pns)) as site, httpx.AsyncClient() as browser:
        body = {"user_id": "42", "notifications": [{"notification_data": "x"}]}
        assert (await browser.post(f"{site.url}/pns/notify", json=body)).status_code == 401


# ── the endpoints as methods ──────────────────────────────────────────────────────────────────────────


async def test_the_methods_do_what_the_endpoints_do(pns: PNS) -> None:
    async with Site(mounted(pns)) as site, Device.connect(f"{site.url}/pns", "42") as device:
        one, two, three = await pns.notify(42, ["one", "two", "three"])
        assert await pns.notify("42", Notification("one", notification_id=one)) == [one]
        assert await pns.notify("42", []) == []
        await device.count_is(3)
        assert await pns.seen("42", [one]) == 2
        await device.count_is(2)
        await pns.withdraw("42", two)
        await device.count_is(1)
        exported = [(item.notification_id, item.seen_date is None) async for item in pns.export("42")]
        assert exported == [(one, False), (three, True)]
        assert await pns.seen("42") == 0
        await device.count_is(0)
        await pns.disconnect("42", "another device")
        await pns.notify("42", "still connected")
        await device.count_is(1)
        await pns.disconnect("42")
        assert await device.closed() == 4501


async def test_wrong_arguments_are_named(pns: PNS) -> None:
    async with pns:
        calls: list[tuple[str, str | Notification, str]] = [
            ("", "x", "/user_id"),
            ("42", "", "/notifications/0/notification_data"),
            ("42", Notification("x", notification_id="with a space"), "/notifications/0/notification_id"),
            ("42", Notification(5), "/notifications/0/notification_data"),  # type: ignore[arg-type]
        ]
        for user, notification, at in calls:
            with pytest.raises(Invalid) as invalid:
                await pns.notify(user, notification)
            assert [where for where, _ in invalid.value.errors] == [at]
        with pytest.raises(TypeError, match="not dict"):
            await pns.notify("42", [{"notification_data": "x"}])
        with pytest.raises(Invalid):
            await pns.erase("..")
        assert (await pns.user("42")).unseen == 0


async def test_a_dict_is_kept_as_its_json_text(pns: PNS) -> None:
    shipped = {"title": "Order shipped", "n": [1, None]}
    sent: list[tuple[Any, list[str]]] = [
        (shipped, ['{"title":"Order shipped","n":[1,null]}']),
        ([shipped, "and a text"], ['{"title":"Order shipped","n":[1,null]}', "and a text"]),
        (Notification(shipped, category="orders"), ['{"title":"Order shipped","n":[1,null]}']),
        (Notification(["é", 1.5]), ['["é",1.5]']),
        ([Notification(())], ["[]"]),
        (MappingProxyType({"url": "/orders/7"}), ['{"url":"/orders/7"}']),
        ({}, ["{}"]),
    ]
    async with pns:
        for number, (notifications, texts) in enumerate(sent):
            await pns.notify(number, notifications)
            assert [item.notification_data async for item in pns.export(number)] == texts
        with pytest.raises(TypeError, match="not dict with notification_data: write"):
            await pns.notify("42", {"notification_data": "x", "notification_id": "order-7"})
        with pytest.raises(Invalid, match="/notifications/1/notification_data: must be what JSON can hold"):
            await pns.notify("42", ["x", {"by": object()}])
        assert (await pns.user("42")).unseen == 0


async def test_a_dict_goes_to_an_audience_too(pns: PNS) -> None:
    async with pns:
        await pns.make_topic("app:news")
        await pns.subscribe_to("42", topic="app:news")
        await pns.subscribe_to("42", bucket="orders")
        await pns.publish("app:news", {"title": "Issue 7"})
        await pns.bucket_changed("orders", "DATA_OBJECT_UPDATED", "7", notification_data={"title": "Order 7"})

        async def spread() -> bool:
            texts = [item.notification_data async for item in pns.export("42")]
            return sorted(texts) == ['{"title":"Issue 7"}', '{"title":"Order 7"}']

        await eventually(spread)


async def test_notify_sync_from_many_threads(pns: PNS) -> None:
    async with pns:
        with pytest.raises(RuntimeError, match="await notify"):
            pns.notify_sync("42", "from the loop itself")
        ids: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: ids.extend(pns.notify_sync("42", f"thread {n}")))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert sorted(ids) == sorted([item.notification_id async for item in pns.export("42")])
        assert len(ids) == 8


async def test_the_sync_twins_do_what_they_are_named_after(pns: PNS) -> None:
    async with Site(mounted(pns)) as site:
        await pns.notify("42", Notification("one", notification_id="a"))
        await asyncio.to_thread(pns.withdraw_sync, "42", "a")
        assert (await pns.user("42")).unseen == 0
        async with Device.connect(f"{site.url}/pns", "42") as device:
            assert await device.count() == 0
            await asyncio.to_thread(pns.disconnect_sync, "42")
            assert await device.closed() == 4501
        await pns.notify("42", "two")
        await asyncio.to_thread(pns.erase_sync, 42)
        assert [item async for item in pns.export("42")] == []
        calls: dict[str, Callable[[], None]] = {
            "withdraw": lambda: pns.withdraw_sync("42", "a"),
            "disconnect": lambda: pns.disconnect_sync("42"),
            "erase": lambda: pns.erase_sync("42"),
        }
        for name, call in calls.items():
            with pytest.raises(RuntimeError, match=f"use `await {name}`"):
                call()


def in_a_thread(call: Callable[..., object], *arguments: object) -> asyncio.Future[object]:
    """What `call` returns or raises in a thread that does not keep the process from ending."""
    answer: Future[object] = Future()

    def run() -> None:
        try:
            answer.set_result(call(*arguments))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(answer)


async def test_leaving_ends_the_wait_of_a_thread(pns: PNS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker thread that waited for ever would keep the host's process from ending."""
    asked = asyncio.Event()

    async def never(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with pns:
        monkeypatch.setattr(pns._started.changes, "notify", never)
        waiting = in_a_thread(pns.notify_sync, "42", "x")
        await asked.wait()
    with pytest.raises(NotStarted, match=r"was left while notify_sync waited"):
        async with asyncio.timeout(60):
            await waiting
    with pytest.raises(NotStarted, match=r"lifespan=pns\.lifespan"):
        await in_a_thread(pns.notify_sync, "42", "after the end")


class Stopped:
    """An event loop that takes callbacks and never runs them, as one does that is about to end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.callbacks: list[Callable[[], object]] = []

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        self.callbacks.append(lambda: callback(*arguments))
        self._loop.call_soon_threadsafe(self.asked.set)


async def test_a_call_that_never_begins_ends_too() -> None:
    async def begun() -> None:
        raise AssertionError("begun")

    stopped = Stopped()
    calls = Calls(cast(asyncio.AbstractEventLoop, stopped))

    def ask() -> None:
        calls.wait_for(begun, ended=NotStarted("the end"))

    waiting = in_a_thread(ask)
    await stopped.asked.wait()
    for _ in range(2):
        await calls.end()
    with pytest.raises(NotStarted, match="the end"):
        await waiting
    for callback in stopped.callbacks:
        callback()
    with pytest.raises(NotStarted, match="the end"):
        await in_a_thread(ask)


async def test_another_event_loop_is_told_what_to_use(pns: PNS) -> None:
    async with pns:
        with pytest.raises(RuntimeError, match="notify_sync"):
            await asyncio.to_thread(lambda: asyncio.run(pns.notify("42", "x")))


# ── the application's own endpoint ────────────────────────────────────────────────────────────────────


def own(pns: PNS, *, accepts: bool, user: str = "42") -> Route | WebSocketRoute:
    async def live(websocket: WebSocket) -> None:
        if accepts:
            await websocket.accept()
        await pns.subscribe(websocket, user)

    return WebSocketRoute("/own/subscribe", live)


async def test_subscribe_in_ones_own_endpoint(pns: PNS) -> None:
    async with (
        Site(mounted(pns, own(pns, accepts=False))) as site,
        Device.connect(f"{site.url}/own", subprotocols=["pns.v1"]) as device,
    ):
        assert device.socket.subprotocol == "pns.v1"
        assert device.socket.response is not None
        assert "pns_device=" in device.socket.response.headers["set-cookie"]
        await device.count_is(0)
        await pns.notify("42", "one")
        await device.count_is(1)
        assert len(await device.unseen()) == 1
        assert len((await pns.user("42")).devices) == 1
        await pns.disconnect("42")
        assert await device.closed() == 4501
        async with Device.connect(f"{site.url}/own") as again:
            assert await again.count() == 0


async def test_subscribe_after_the_host_accepted(pns: PNS) -> None:
    async with (
        Site(mounted(pns, own(pns, accepts=True))) as site,
        Device.connect(f"{site.url}/own") as device,
    ):
        await pns.notify("42", "one")
        await device.count_is(1)
        await pns.erase("42")
        assert await device.closed() == 4501
        await eventually(lambda: _no_devices(pns))


async def _no_devices(pns: PNS) -> bool:
    return not (await pns.user("42")).devices


async def test_subscribe_applies_the_origin_rule(pns: PNS) -> None:
    evil = {"Origin": "https://evil.example"}
    async with Site(mounted(pns, own(pns, accepts=False))) as site:
        with pytest.raises(InvalidStatus) as refused:
            async with Device.connect(f"{site.url}/own", headers=evil):
                pass
        assert refused.value.response.status_code == 403
        assert b"origin_not_allowed" in refused.value.response.body
        async with Device.connect(f"{site.url}/own", headers={"Origin": site.url}) as device:
            assert await device.count() == 0


async def test_subscribe_applies_the_origin_rule_to_an_accepted_connection(pns: PNS) -> None:
    async with (
        Site(mounted(pns, own(pns, accepts=True))) as site,
        Device.connect(f"{site.url}/own", headers={"Origin": "https://evil.example"}) as device,
    ):
        assert await device.closed() == 4501
        assert device.counts == []


async def test_a_user_id_that_cannot_be_is_the_hosts_error(
    pns: PNS, caplog: pytest.LogCaptureFixture
) -> None:
    async with Site(mounted(pns, own(pns, accepts=False, user=".."))) as site:
        with pytest.raises(InvalidStatus) as refused:
            async with Device.connect(f"{site.url}/own"):
                pass
        assert refused.value.response.status_code == 500
    assert "user_id" in caplog.text


@pytest.mark.parametrize("path", ["/pns", "/own"])
async def test_a_peer_that_vanishes_is_no_error(
    pns: PNS, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Gone while PNS answers it: with its buffers full, so that the answer is on its way for long."""
    async with Site(mounted(pns, own(pns, accepts=False))) as site:
        await pns.notify("42", ["x" * 60_000] * 60)
        for _ in range(5):
            async with Device.connect(f"{site.url}{path}", "42") as device:
                await device.count_is(60)
                for _ in range(30):
                    await device.send({"unseenNotificationDataRequest": {"ack": True}})
                device.socket.transport.abort()
        await eventually(lambda: _no_devices(pns))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# ── under middleware ──────────────────────────────────────────────────────────────────────────────────


async def test_behind_a_session(tmp_path: Path) -> None:
    pns = PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=lambda request: request.session.get("user"))

    async def login(request: Request) -> Response:
        request.session["user"] = request.path_params["user"]
        return PlainTextResponse("hello")

    app = mounted(
        pns,
        Route("/login/{user}", login),
        middleware=[Middleware(SessionMiddleware, secret_key="not very secret")],
    )
    async with Site(app) as site, httpx.AsyncClient() as browser:
        assert (await browser.post(f"{site.url}/pns/subscribe")).status_code == 401
        await browser.get(f"{site.url}/login/42")
        answer = await browser.post(f"{site.url}/pns/subscribe")
        assert answer.json()["user_id"] == "42"
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        async with Device.connect(f"{site.url}/pns", headers={"Cookie": cookie}) as device:
            await pns.notify("42", "one")
            await device.count_is(1)


class Impatient:
    """A host's middleware with a deadline around every send, and a pause in it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def within(message: Message) -> None:
            async with asyncio.timeout(60):
                await asyncio.sleep(0)
                await send(message)

        await self.app(scope, receive, within)


class Breaking:
    """A host's middleware that fails when a count other than 0 is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def broken(message: Message) -> None:
            if message["type"] == "websocket.send" and message["text"] != '{"newNotificationCountChanged":0}':
                raise ValueError("the middleware's own mistake")
            await send(message)

        await self.app(scope, receive, broken)


async def test_a_middleware_that_fails_on_a_count_ends_the_connection(
    pns: PNS, caplog: pytest.LogCaptureFixture
) -> None:
    """The fix: Connection takes what the writer cannot send for its own end, and logs it."""
    app = mounted(pns, middleware=[Middleware(Breaking)])
    async with Site(app) as site, Device.connect(f"{site.url}/pns", "42") as device:
        await device.count_is(0)
        await pns.notify(42, Notification("x"))
        async with asyncio.timeout(60):
            await device.socket.wait_closed()
        assert device.socket.close_code == 1011
        assert (await pns.user(42)).devices == []
    failed = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in failed] == ["a connection failed"]


class Chatty(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-chatty"] = "yes"
        return response


async def test_under_the_hosts_middleware(pns: PNS) -> None:
    app = mounted(pns, middleware=[Middleware(Chatty), Middleware(Impatient)])
    async with (
        Site(app) as site,
        httpx.AsyncClient() as browser,
        Device.connect(f"{site.url}/pns", "42") as one,
        Device.connect(f"{site.url}/pns", "42") as other,
    ):
        answer = await browser.post(f"{site.url}/pns/subscribe", headers={"cookie": "user=42"})
        assert (answer.status_code, answer.headers["x-chatty"]) == (200, "yes")
        await asyncio.gather(*(pns.notify("42", f"n {n}") for n in range(50)))
        for device in (one, other):
            await device.count_is(50)
            assert device.counts == sorted(device.counts)
        assert len(await one.unseen()) == 50
        await other.count_is(0)
        await pns.erase("42")
        assert [await one.closed(), await other.closed()] == [4501, 4501]


# ── where it is mounted ───────────────────────────────────────────────────────────────────────────────


def _nested(pns: PNS) -> ASGIApp:
    return Starlette(routes=[Mount("/app", routes=[Mount("/pns", app=pns)])], lifespan=pns.lifespan)


@pytest.mark.parametrize(
    ("host", "root_path", "path"),
    [
        (in_starlette, "", "/pns"),
        (in_starlette, "/api", "/api/pns"),
        (in_fastapi, "/api", "/api/pns"),
        (wrapped, "/api", "/api/pns"),
        (_nested, "/api", "/api/app/pns"),
    ],
)
async def test_below_a_root_path(
    tmp_path: Path, host: Callable[[PNS], ASGIApp], root_path: str, path: str
) -> None:
    settings = Settings.load(environ={"PNS_APP__API_KEYS": "key-0123456789abcdef"})
    pns = PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=by_cookie, settings=settings)
    # uvicorn takes the path without the prefix, as a proxy that strips it sends it.
    below = path.removeprefix(root_path)
    async with Site(host(pns), root_path=root_path) as site, httpx.AsyncClient() as http:
        answer = await http.post(f"{site.url}{below}/subscribe", headers={"cookie": "user=42"})
        assert f"Path={path};" in answer.headers["set-cookie"]
        async with Device.connect(f"{site.url}{below}", "42/connections") as device:
            await pns.notify("42/connections", "one")
            await device.count_is(1)
            key = {"authorization": "Bearer key-0123456789abcdef"}
            user = await http.get(f"{site.url}{below}/users/42%2Fconnections", headers=key)
            assert (user.json()["user_id"], user.json()["unseen"]) == ("42/connections", 1)


async def test_a_foreign_origin_of_the_list_gets_in(tmp_path: Path) -> None:
    settings = Settings(server=ServerSettings(allowed_origins=("https://shop.example",)))
    pns = PNS(f"sqlite:///{tmp_path / 'pns.db'}", user=by_cookie, settings=settings)
    headers = {"Origin": "https://shop.example"}
    async with (
        Site(mounted(pns)) as site,
        Device.connect(f"{site.url}/pns", "42", headers=headers) as device,
    ):
        assert await device.count() == 0
