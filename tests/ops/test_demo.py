"""`pns demo` as a person and as browsers meet it, with PNS beside the application and inside it."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.harness.demo import Demo, Visitor, running_demo
from tests.harness.waiting import eventually

MODES = pytest.mark.parametrize("options", [(), ("--embedded",)], ids=["separate", "embedded"])


@pytest.fixture(scope="module", params=[(), ("--embedded",)], ids=["separate", "embedded"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """One demo for all tests that leave it as it was, but for what is in the inboxes."""
    with running_demo(*request.param) as demo:
        yield demo


@pytest.fixture(autouse=True)
async def ready(request: pytest.FixtureRequest) -> None:
    if "demo" in request.fixturenames:
        await request.getfixturevalue("demo").ready()


# ── the application ───────────────────────────────────────────────────────────────────────────────────


async def test_a_stranger_is_asked_to_log_in(demo: Demo) -> None:
    async with httpx.AsyncClient(base_url=demo.address, trust_env=False) as http:
        page = await http.get("/")
        assert 'value="alice"' in page.text
        assert 'value="bob"' in page.text
        assert (await http.post("/login", data={"user": "mallory"})).status_code == 400
        assert (await http.post("/notify", data={"user": "bob", "title": "x"})).status_code == 401
        assert (await http.post("/pns-auth")).status_code == 401
        assert (await http.post(f"{demo.pns}/subscribe")).status_code == 401


async def test_the_login_cookie_is_the_applications_own(demo: Demo) -> None:
    async with httpx.AsyncClient(base_url=demo.address, trust_env=False) as http:
        response = await http.post("/login", data={"user": "alice"})
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "<b>Alice</b>" in (await http.get("/")).text
        name, _, value = cookie.partition(";")[0].partition("=")
        http.cookies.clear()
        # Not the last character: its lowest bits say nothing.
        altered = value[:-10] + ("A" if value[-10] != "A" else "B") + value[-9:]
        for forged in ("alice", altered, ""):
            answer = await http.post("/pns-auth", headers={"cookie": f"{name}={forged}"})
            assert answer.status_code == 401, forged


async def test_pages_need_no_inline_script_and_forbid_it(demo: Demo) -> None:
    async with Visitor.login(demo, "alice") as alice:
        page = await alice.http.get("/")
        policy = page.headers["content-security-policy"]
        script_from = "'self'" if demo.pns.startswith(demo.address) else f"'self' {demo.pns}"
        assert f"default-src 'none'; script-src {script_from}; style-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]* src=)|<style|\s(style|on\w+)=", page.text)
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert (await alice.http.get(asset)).status_code == 200, asset
        script = await alice.http.get("/assets/inbox.js")
        assert "javascript" in script.headers["content-type"]
        assert "innerHTML" not in script.text


# ── with PNS ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_notification_by_form_arrives_in_every_browser_of_that_user_alone(demo: Demo) -> None:
    async with (
        Visitor.login(demo, "alice") as alice,
        Visitor.login(demo, "alice") as alice_elsewhere,
        Visitor.login(demo, "bob") as bob,
        alice.open() as here,
        alice_elsewhere.open() as there,
        bob.open() as other,
    ):
        assert [await here.count(), await there.count(), await other.count()] == [0, 0, 0]
        assert (await bob.notify("alice", "Grüße", "von <b>Bob</b>")).status_code == 204
        await here.count_is(1)
        await there.count_is(1)
        (item,) = await here.unseen(ack=True)
        assert item["notification_data"] == '{"title": "Grüße", "body": "von <b>Bob</b>"}'
        await there.send({"unseenNotificationDataRequest": {"ack": True}})
        await there.receive()
        await there.send({"notificationDataSeen": {"upTo": item["notification_id"]}})
        await here.count_is(0)
        assert [seen["notification_id"] for seen in await here.seen(before="", limit=1)] == [
            item["notification_id"]
        ]
        assert await other.unseen() == []
        assert other.counts == [0]


async def test_a_question_is_answered_by_its_button_on_all_devices(demo: Demo) -> None:
    async with Visitor.login(demo, "bob") as bob, bob.open() as device:
        await device.count()
        asked = {"user": "bob", "title": "x", "times": "question"}
        assert (await bob.http.post("/notify", data=asked)).status_code == 204
        await device.count_is(1)
        (item,) = await device.unseen(ack=True)
        accept, decline = json.loads(item["notification_data"])["actions"]
        assert (accept["label"], decline["label"]) == ("Accept", "Decline")
        assert (await bob.http.post(accept["url"] + "x")).status_code == 404
        assert (await bob.http.post(decline["url"])).status_code == 204
        (told,) = await device.unseen()
        assert "declined" in told["notification_data"]
        assert item["notification_id"] not in [
            seen["notification_id"] for seen in await device.seen(before="")
        ]
        async with httpx.AsyncClient(base_url=demo.address, trust_env=False) as stranger:
            assert (await stranger.post(accept["url"])).status_code == 401


async def test_categories_are_declared_and_chosen(demo: Demo) -> None:
    async with Visitor.login(demo, "alice") as alice:
        assert (await alice.http.get("/")).status_code == 200
        async with httpx.AsyncClient(trust_env=False, headers=alice.headers) as http:
            found = (await http.get(f"{demo.pns}/preferences")).json()["preferences"]
            assert {one["category"]: one["required"] for one in found} == {
                "comments": [],
                "orders": [],
                "security": ["inbox", "push"],
            }
        sent = {"user": "alice", "title": "parcel", "category": "orders"}
        async with alice.open() as device:
            await device.count()
            assert (await alice.http.post("/notify", data=sent)).status_code == 204
            assert [item["category"] for item in await device.unseen(category="orders")] == ["orders"]


async def test_the_forms_mistakes_are_told(demo: Demo) -> None:
    async with Visitor.login(demo, "alice") as alice:
        assert (await alice.notify("mallory", "x")).status_code == 400
        assert (await alice.notify("bob", "")).status_code == 400
        refused = await alice.notify("bob", "x" * 70_000)
        assert refused.status_code == 502
        assert "65536" in refused.text


async def test_logout_is_the_end_of_connections_and_cookie_but_not_of_other_logins(demo: Demo) -> None:
    async with (
        Visitor.login(demo, "bob") as bob,
        Visitor.login(demo, "bob") as bob_elsewhere,
        bob.open() as device,
    ):
        await device.count()
        subscribe = f"{demo.pns}/subscribe"
        cookie = bob.headers
        assert (await bob.http.post(subscribe, headers=cookie)).status_code == 200
        await bob.http.post("/logout")
        assert await device.closed() == 4501
        async with httpx.AsyncClient(trust_env=False) as stranger:
            assert (await stranger.post(subscribe, headers=cookie)).status_code == 401
        assert (await bob_elsewhere.http.post(subscribe, headers=bob_elsewhere.headers)).status_code == 200
        assert 'value="alice"' in (await bob.http.get("/")).text


async def test_the_printed_curl_works_as_it_stands(demo: Demo) -> None:
    found = re.search(r"authorization: Bearer (\S+)'.*-d '([^']+)'", demo.output, re.DOTALL)
    assert found
    async with Visitor.login(demo, "alice") as alice, alice.open() as device:
        before = await device.count()
        headers = {"authorization": f"Bearer {found[1]}", "content-type": "application/json"}
        answer = await alice.http.post(f"{demo.pns}/notify", content=found[2], headers=headers)
        assert answer.status_code == 201
        await device.count_is(before + 1)


async def test_a_page_of_another_origin_may_not_connect(demo: Demo) -> None:
    async with Visitor.login(demo, "alice") as alice:
        headers = alice.headers | {"origin": "http://127.0.0.1:1"}
        assert (await alice.http.post(f"{demo.pns}/subscribe", headers=headers)).status_code == 403


@MODES
async def test_a_named_file_of_settings_is_used(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "slow.toml").write_text("[server]\nheartbeat_seconds = 7")
    with running_demo("--config", str(tmp_path / "slow.toml"), *options) as demo:
        await demo.ready()
        async with Visitor.login(demo, "alice") as alice:
            answer = await alice.http.post(f"{demo.pns}/subscribe", headers=alice.headers)
        assert answer.json()["heartbeat_seconds"] == 7


# ── its end ───────────────────────────────────────────────────────────────────────────────────────────


@MODES
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_all_of_it_without_a_trace(options: tuple[str, ...], sig: signal.Signals) -> None:
    with running_demo(*options) as demo:
        await demo.ready()
        children = demo.children
        assert len(children) == (0 if options else 1)
        async with Visitor.login(demo, "alice") as alice, alice.open() as device:
            await device.count()
            said = demo.output
            assert await demo.end(sig) == 0
        assert demo.output == said
        assert not any(child.is_running() for child in children)
        assert sorted(path.name for path in demo.folder.iterdir()) == ["demo.log"]


async def test_ctrl_c_before_it_is_ready_is_a_good_end_too() -> None:
    with running_demo() as demo:
        (pns,) = await eventually(lambda: demo.children, within=30)
        assert await demo.end(signal.SIGINT) == 0
        assert demo.output == ""
        assert not pns.is_running()


async def test_pns_ends_with_a_demo_that_is_killed() -> None:
    with running_demo() as demo:
        await demo.ready()
        (pns,) = demo.children
        await demo.end(signal.SIGKILL)
        await eventually(lambda: not pns.is_running() or pns.status() == psutil.STATUS_ZOMBIE, within=30)


async def test_the_demo_ends_with_a_pns_that_is_killed() -> None:
    with running_demo() as demo:
        await demo.ready()
        demo.children[0].kill()
        await eventually(lambda: demo.process.poll() is not None, within=30)
        assert demo.process.returncode == 1
        assert "PNS ended by itself, with exit code -9" in demo.output
        assert "Traceback" not in demo.output


@MODES
async def test_a_taken_port_is_said_in_one_line(options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_demo("--port", str(port), *options) as demo:
            await eventually(lambda: demo.process.poll() is not None, within=30)
            assert demo.process.returncode == 1
            assert demo.output.count("\n") == 1
            assert f"127.0.0.1:{port}" in demo.output
            assert "--port" in demo.output
