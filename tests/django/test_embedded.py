"""PNS inside the ASGI application of a Django project: its login, its rows, its logouts and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from pns import PNS
from pns.errors import SettingsError
from pns.testing import Device, Refused
from pns.testing.temporary import empty_store
from tests.harness import eventually
from tests.harness.django_project import set_up

set_up()

from django.apps import apps  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from pns.django import anotify, asgi, engine, get_pns, notify  # noqa: E402

from .conftest import rows  # noqa: E402


@pytest.fixture
def pns(users: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PNS]:
    """The PNS of the setting, not started."""
    monkeypatch.setattr(apps.get_app_config("pns"), "_pns", None)
    monkeypatch.setattr(apps.get_app_config("pns"), "_outgoing", None)
    monkeypatch.setattr(apps.get_app_config("pns"), "_line", None)
    with override_settings(PNS={"store": f"sqlite:///{empty_store(tmp_path / 'pns.db')}"}):
        yield get_pns()


def logged_in(name: str) -> Client:
    client = Client()
    client.get(f"/login/{name}")
    return client


def cookie(client: Client) -> dict[str, str]:
    return {"cookie": f"sessionid={client.cookies['sessionid'].value}"}


async def test_a_user_s_day(pns: PNS, users: Any) -> None:
    """Logged in, notified by a commit, read on two browsers, logged out on one of them, deleted."""
    ann = await users.aget(username="ann")
    first, second = [await asyncio.to_thread(logged_in, "ann") for _ in "12"]
    async with pns:
        with pytest.raises(Refused):
            async with Device.connect(pns):
                pass
        async with (
            Device.connect(pns, headers=cookie(first)) as one,
            Device.connect(pns, headers=cookie(second)) as other,
        ):
            assert await anotify(ann, {"title": "Order shipped"})
            await one.count_is(1)
            await other.count_is(1)
            assert (await asyncio.to_thread(first.get, "/logout")).status_code == 200
            assert await one.closed() == 4501
            await asyncio.to_thread(notify, ann, "Another")
            await other.count_is(2)
            await ann.adelete()
            assert await other.closed() == 4501
        assert [item async for item in pns.export(str(ann.pk))] == []
        assert await asyncio.to_thread(rows) == []


async def test_a_commit_is_looked_for_at_once(pns: PNS, users: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forwarder would look only after an hour."""
    monkeypatch.setattr("pns.inbox.forwarder.POLL_SECONDS", 3_600.0)
    client = await asyncio.to_thread(logged_in, "ann")
    async with pns, Device.connect(pns, headers=cookie(client)) as device:
        ann = await users.aget(username="ann")
        for number, told in enumerate((ann, ann.pk, users.filter(pk=ann.pk), users.all()), 1):
            await asyncio.to_thread(notify, told, "x")
            await device.count_is(number)


async def test_what_another_process_has_written_is_done(pns: PNS, users: Any) -> None:
    """A worker or a command has no server. Its row is done by the process that has one."""
    ann = await users.aget(username="ann")
    key = ann.pk
    client = await asyncio.to_thread(logged_in, "ann")
    await anotify(ann, "x")
    await ann.adelete()
    assert [text for _, text in await asyncio.to_thread(rows)] == ['{"errand":"erase"}']
    async with pns:
        await pns.notify(key, "of the time before")
        await eventually(lambda: asyncio.to_thread(lambda: rows() == []), within=30)
        with pytest.raises(Refused):
            async with Device.connect(pns, headers=cookie(client)):
                pass


async def ask(application: ASGIApp, path: str) -> int:
    """The status of a GET, without a lifespan, as Daphne asks."""
    sent: list[Any] = []

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop.test")],
        "server": ("shop.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await application(scope, receive, send)
    return int(sent[0]["status"])


async def test_the_line_of_asgi_py_serves_both(pns: PNS) -> None:
    application = asgi(get_asgi_application())
    try:
        assert await ask(application, "/pns/bell.js") == 200
        assert await ask(application, "/pns/livez") == 200
        assert await ask(application, "/logout") == 200
        assert await ask(application, "/nowhere") == 404
    finally:
        await pns.__aexit__(None, None, None)


def test_with_a_service_the_line_changes_nothing() -> None:
    application: Any = object()
    with override_settings(PNS={"url": "http://127.0.0.1:1", "key": "a-key"}):
        assert asgi(application) is application
        with pytest.raises(SettingsError, match=r'get_pns\(\) needs PNS = \{"store"'):
            get_pns()


def test_a_wrong_setting_does_not_start() -> None:
    application: Any = object()
    with override_settings(PNS={"sore": "x"}), pytest.raises(SettingsError, match='neither "store"'):
        asgi(application)


def test_the_database_of_the_rows_is_the_setting_s(site: Any) -> None:
    assert engine("default").url.database == site["default"]["NAME"]
