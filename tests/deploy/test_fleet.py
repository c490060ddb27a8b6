"""`make fleet` as a person and as browsers meet it: three nodes, one of which is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from playwright.async_api import Page
from websockets.exceptions import ConnectionClosed

from pns.errors import PNSError
from pns.ops.fleet import programs
from tests.browser.e2e.conftest import SHELL, launched, state_is
from tests.deploy.files import ROOT
from tests.harness import eventually
from tests.harness.demo import Demo, Visitor


@contextmanager
def running_fleet(port: int = 0) -> Iterator[Demo]:
    """A fleet behind `port`; await `ready` before use."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL, as nobody, has its own folder below
        fleet = Demo(_spawn(folder, port), folder)
        try:
            yield fleet
        finally:
            fleet.destroy()


def _spawn(folder: Path, port: int) -> subprocess.Popen[bytes]:
    with (folder / "demo.log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pns.ops.fleet", str(port)],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


class Fleet:
    """The page /fleet, as its script uses it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def nodes(self) -> dict[str, dict[str, Any]]:
        answer = await self._http.get("/fleet/state")
        assert answer.status_code == 200, answer.text
        return {node["name"]: node for node in answer.json()["nodes"]}

    async def holders(self, user: str) -> list[str]:
        """The names of the nodes, one for each connection of `user`."""
        return [
            name
            for name, node in (await self.nodes()).items()
            for connection in node.get("connections", [])
            if connection["user"] == user
        ]

    async def press(self, name: str, button: str) -> None:
        answer = await self._http.post(f"/fleet/{name}/{button}")
        assert answer.status_code == 204, answer.text


async def test_a_killed_node_costs_a_reconnection_and_nothing_else() -> None:
    with running_fleet() as demo:
        await demo.ready()
        assert len(demo.children) > 6
        async with Visitor.login(demo, "alice") as alice:
            async with watching(demo) as page:
                await kill_and_come_back(Fleet(alice.http), alice, page)
            async with alice.open() as device:
                assert await device.count() == 2
                children = demo.children
                assert await demo.end(signal.SIGINT) == 0
        assert not any(child.is_running() for child in children)
        assert [path.name for path in demo.folder.iterdir()] == ["demo.log"]
        assert "Traceback" not in demo.output


@asynccontextmanager
async def watching(demo: Demo) -> AsyncIterator[Page]:
    """Bob's browser, at the page of the fleet, with one connection of his own. Nothing may go wrong in it."""
    problems: list[str] = []
    async with launched(SHELL) as browser:
        page = await browser.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "olicy" in said.text else None)
        await page.goto(demo.address)
        await page.get_by_role("button", name="Bob").click()
        await page.get_by_role("link", name="The fleet").click()
        await state_is(page, "live")
        await page.locator(".held [data-user=bob]").wait_for()
        yield page
        await state_is(page, "live")
    assert problems == []


async def kill_and_come_back(fleet: Fleet, alice: Visitor, page: Page) -> None:
    assert [node["state"] for node in (await fleet.nodes()).values()] == ["alive"] * 3
    async with alice.open() as device:
        assert await device.count() == 0
        (holder,) = await fleet.holders("alice")
        other = next(name for name in "ABC" if name != holder)
        await fleet.press(other, "notify")
        await device.count_is(1)
        await fleet.press(holder, "kill")
        with pytest.raises(ConnectionClosed):
            await device.receive()
    await page.locator("#nodes > .dead", has_text=f"Node {holder}").wait_for()
    async with alice.open() as device:
        assert await device.count() == 1
        (new,) = await fleet.holders("alice")
        assert new != holder
        # By the form, which asks nginx, and so whichever node it takes.
        assert (await alice.notify("alice", "After the kill")).status_code == 204
        await device.count_is(2)
        await fleet.press(holder, "restart")
        assert (await fleet.nodes())[holder]["unseen"]["alice"] == 2
        await page.locator("#story", has_text=f"Node {holder} is alive").wait_for()


async def test_all_of_it_ends_with_a_fleet_that_is_killed() -> None:
    with running_fleet() as demo:
        await demo.ready()
        children = demo.children
        await demo.end(signal.SIGKILL)
        await eventually(lambda: not any(map(alive, children)), within=30)


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("moment", ["initdb", "python"])
async def test_ctrl_c_before_it_is_ready_is_a_good_end_too(moment: str) -> None:
    with running_fleet() as demo:
        await eventually(lambda: any(name.startswith(moment) for name in names(demo.children)), within=30)
        children = demo.children
        assert await demo.end(signal.SIGINT) == 0
        await eventually(lambda: not any(map(alive, children)))
        assert "Traceback" not in demo.output
        assert [path.name for path in demo.folder.iterdir()] == ["demo.log"]


def names(processes: list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.add(process.name())
    return found


async def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_fleet(port) as demo:
            await eventually(lambda: demo.process.poll() is not None, within=30)
            assert demo.process.returncode == 1
            assert demo.output.count("\n") == 1
            assert f"127.0.0.1:{port}" in demo.output


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(PNSError, match="nginx is not installed: apt-get install nginx-light"):
        programs.find("nginx")
