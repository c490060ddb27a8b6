"""PNS behind nginx and behind Caddy, with the files that deploy/ has for them: what a browser and an
application would meet there.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pns.ops.commands.doctor import examine
from pns.settings import Settings
from tests.deploy.files import DEPLOY
from tests.deploy.fronts import Front, caddy_command, front, nginx_command
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, by_cookie
from tests.harness.events import EventDevice
from tests.harness.release import run

on_the_loop_of_the_house = pytest.mark.asyncio(loop_scope="module")


class House(NamedTuple):
    """Two nodes on one store behind a proxy, and the application that stands beside them."""

    front: Front
    nodes: tuple[ServerProcess, ServerProcess]
    backend: Backend
    application: HostApplication


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["nginx", "caddy"])
async def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("front")
    async with HostApplication() as application:
        told: dict[str, Any] = {
            "auth_url": application.url,
            "auth__cache_seconds": 0,
            "server__trusted_proxies": "127.0.0.1",
        }
        (folder / "second").mkdir()
        first = ServerProcess(folder, **told)
        second = ServerProcess(folder / "second", store__url=f"sqlite:///{first.store}", **told)
        async with first, second, first.backend() as backend:
            ports = [first.port, second.port]
            beside = int(application.url.split(":")[2].split("/")[0])
            async with front(request.param, folder, nodes=ports, application=beside) as here:
                yield House(here, (first, second), backend, application)
        assert "Traceback" not in first.output + second.output


# ── the files ─────────────────────────────────────────────────────────────────────────────────────────


def test_nginx_takes_the_file_as_it_stands(tmp_path: Path) -> None:
    site = (DEPLOY / "nginx.conf").read_text()
    subject = ["-subj", "/CN=app.example.com", "-days", "1"]
    keys = ["-keyout", str(tmp_path / "app.example.com.key"), "-out", str(tmp_path / "app.example.com.pem")]
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *keys], tmp_path)
    command = [*nginx_command(tmp_path, site.replace("/etc/ssl/", f"{tmp_path}/")), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_caddy_takes_the_file_as_it_stands(tmp_path: Path) -> None:
    command = caddy_command(tmp_path, site="app.example.com", nodes=[8081, 8082], application=8000)
    environment = command[: command.index("caddy")]
    done = subprocess.run(
        [*environment, "caddy", "adapt", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "not formatted" not in done.stderr
    (server,) = json.loads(done.stdout)["apps"]["http"]["servers"].values()
    assert server["listen"] == [":443"]
    assert server["routes"][0]["match"] == [{"host": ["app.example.com"]}]


# ── browsers ──────────────────────────────────────────────────────────────────────────────────────────


def _origin(house: House) -> dict[str, str]:
    return {"origin": house.front.url}


@on_the_loop_of_the_house
async def test_a_websocket_hears_what_any_node_is_told(house: House) -> None:
    async with Device.connect(house.front.pns, "alice", headers=_origin(house)) as device:
        assert await device.count() == 0
        for seen, node in enumerate(house.nodes, 1):
            async with node.backend() as backend:
                await backend.notify("alice", f"from {seen}")
            await device.count_is(seen)
        assert len(await device.unseen()) == 2
        await device.count_is(0)


@on_the_loop_of_the_house
async def test_events_come_at_once_and_messages_are_answered(house: House) -> None:
    async with EventDevice.connect(house.front.pns, "bob", headers=_origin(house)) as device:
        assert await device.count() == 0
        await house.backend.notify("bob", "an event")
        await device.count_is(1)
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{house.front.pns}/messages",
                json={"unseenNotificationDataRequest": {}},
                headers={**_origin(house), "cookie": "user=bob"},
            )
        assert [one["notification_data"] for one in answer.json()["newNotificationData"]] == ["an event"]
        await device.count_is(0)


@on_the_loop_of_the_house
async def test_connections_are_spread_over_the_nodes_and_each_knows_its_own(house: House) -> None:
    """Not evenly: Debian's Caddy draws lots."""
    async with AsyncExitStack() as stack:
        devices: list[Device] = []
        while len(devices) < 40 and not all([await _connections(node, "here") for node in house.nodes]):
            devices.append(await stack.enter_async_context(Device.connect(house.front.pns, "carol")))
            await devices[-1].count()

        async def all_know_of_all() -> bool:
            return [await _connections(node, "connections") for node in house.nodes] == [len(devices)] * 2

        await eventually(all_know_of_all)
        here = [await _connections(node, "here") for node in house.nodes]
        assert all(here)
        assert sum(here) == len(devices)


async def _connections(node: ServerProcess, member: str) -> int:
    async with node.backend() as backend:
        return sum(device[member] for device in (await backend.user("carol", here="true"))["devices"])


@on_the_loop_of_the_house
async def test_a_page_of_another_origin_is_refused_whatever_it_calls_itself(house: House) -> None:
    headers = {"origin": "http://evil.example", "x-forwarded-host": "evil.example", "cookie": "user=alice"}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{house.front.pns}/subscribe", headers=headers)
        assert answer.json()["code"] == "origin_not_allowed"
        assert house.front.url.removeprefix("http://") in answer.json()["detail"]
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            f"{house.front.pns}/subscribe".replace("http", "ws", 1), additional_headers=headers, proxy=None
        ):
            pass
    assert refused.value.response.status_code == 403


@on_the_loop_of_the_house
async def test_the_application_is_told_who_really_asked(house: House) -> None:
    lies = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https"}
    long = {"cookie": f"user=dave; filler={'x' * 16_000}"}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{house.front.pns}/subscribe", headers={**lies, **long, **_origin(house)})
    assert answer.json()["user_id"] == "dave"
    assert "Secure" not in answer.headers["set-cookie"]
    asked = house.application.asked[-1]
    assert (asked["x-forwarded-for"], asked["x-forwarded-proto"]) == ("127.0.0.1", "http")


@on_the_loop_of_the_house
async def test_the_world_gets_what_browsers_need_and_nothing_else(house: House) -> None:
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=elsewhere) as http:
        script = await http.get(f"{house.front.pns}/panel.js")
        assert script.is_success
        assert script.headers["content-type"].startswith("text/javascript")
        assert (await http.get(f"{house.front.pns}/devices/networks")).json() == {"networks": {}}
        for method, path in (
            *(("POST", "subscribe"), ("POST", "devices")),
            *(("DELETE", "devices/a-1"), ("PUT", "devices/a-1/badge")),
        ):
            assert (await http.request(method, f"{house.front.pns}/{path}")).status_code == 401
        for path in (*("notify", "metrics", "readyz", "users/alice", "subscribe/more", ""), "topics/a:b"):
            assert (await http.get(f"{house.front.pns}/{path}")).status_code == 403, path
        for path in ("a%0Ab", "a%0D%0AX-Forwarded-For:%206.6.6.6", "a%0Db", "a%20b%3Fc%23", "a%20HTTP%2F1.1"):
            refused = await http.delete(f"{house.front.pns}/devices/{path}", headers=_origin(house))
            assert refused.status_code in (401, 403, 404), (path, refused.status_code)
        asked = {line for head in house.application.heads for line in head.split(b"\r\n")}
        assert b"X-Forwarded-For: 6.6.6.6" not in asked
        # The application's own: the test's answers everything with who it is that asks.
        page = await http.get(f"{house.front.url}/", headers={"cookie": "user=erin"})
        assert page.json() == {"user_id": "erin"}


@on_the_loop_of_the_house
async def test_preferences_and_links_of_mails_lead_to_pns(house: House) -> None:
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=elsewhere, cookies={"user": "hugo"}) as http:
        own = await http.get(f"{house.front.pns}/preferences")
        assert own.json()["preferences"] == []
        changed = await http.patch(
            f"{house.front.pns}/preferences", json={"preferences": {}}, headers=_origin(house)
        )
        assert changed.is_success, changed.text
        page = await http.get(f"{house.front.pns}/unsubscribe", params={"token": "forged"})
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert (await http.get(f"{house.front.pns}/unsubscribe.css")).is_success
        # The answer of an unknown path: nobody but an operator learns of the pages.
        assert (await http.get(f"{house.front.pns}/operator")).json()["code"] == "not_found"


def _all_are_operators(asked: Asked) -> Reply:
    status, body, *_ = by_cookie(asked)
    return status, body.replace(b"}", b', "operator": true}')


@on_the_loop_of_the_house
async def test_an_operator_finds_every_page_from_the_first(house: House) -> None:
    house.application.decide = _all_are_operators
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=elsewhere, cookies={"user": "ines"}) as http:
        seen: set[str] = set()
        wanted = [f"{house.front.pns}/operator"]
        while wanted:
            page = await http.get(wanted.pop())
            assert page.is_success, page.url
            seen.add(page.url.path)
            links = re.findall(r'(?:href|action)="([^"#?]+)', page.text)
            wanted += [str(url) for link in links if (url := page.url.join(link)).path not in seen]
        assert {f"/pns/operator/{name}" for name in ("user", "audit", "compose", "operator.css")} <= seen
    house.application.decide = by_cookie


# ── operators ─────────────────────────────────────────────────────────────────────────────────────────


@on_the_loop_of_the_house
async def test_a_killed_node_is_passed_over(house: House) -> None:
    first, _ = house.nodes
    await first.kill()
    try:
        for _ in range(4):
            async with Device.connect(house.front.pns, "frank") as device:
                assert await device.count() == 0
    finally:
        await first.start()


@on_the_loop_of_the_house
async def test_the_doctor_is_content(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    node = house.nodes[0]
    told = {name: value for name, value in node.environment.items() if name.startswith("PNS_")}
    settings, url = Settings.load(None, told), house.front.pns
    code = await examine(settings, url=url, cookies=["user=gina"], origin=house.front.url)
    report = capsys.readouterr().out
    assert code == 0, report
    assert "0 with a bad answer, 0 not asked" in report
