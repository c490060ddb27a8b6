"""Strangers in an empty folder, with what pip and npm install and one file: a bell at 1 in a real page.

The one with Django is test_django.py, by the page of the docs.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.e2e.conftest import count_is, state_is
from tests.deploy.fronts import front
from tests.harness import ServerProcess
from tests.harness.release import ROOT, put_together
from tests.harness.running import running
from tests.harness.server import API_KEY, free_port

MODULES = ROOT / "tests" / "docs" / "node_modules"
STRANGERS = ROOT / "tests" / "harness" / "strangers"
TO_WRITE = 32
"""Lines of an application with a login, a page with a bell, and a notify. The service has its settings."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def released(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel; frameworks are those of the tests."""
    return put_together([wheel], tmp_path_factory.mktemp("released"), beside=Path(sys.executable))


def with_client(folder: Path) -> None:
    """What `npm install express express-session` and the packed client leave in `folder`."""
    modules = folder / "node_modules"
    modules.mkdir()
    for each in MODULES.iterdir():
        if not each.name.startswith("."):
            (modules / each.name).symlink_to(each)
    packed = ["npm", "pack", str(ROOT / "clients" / "node"), "--silent", "--pack-destination", str(folder)]
    name = subprocess.run(packed, capture_output=True, text=True, check=True).stdout.strip()
    client = modules / "pns-application"
    client.mkdir()
    unpack = ["tar", "xzf", str(folder / name), "--strip-components", "1", "-C", str(client)]
    subprocess.run(unpack, check=True)


@asynccontextmanager
async def application(command: list[str], folder: Path, url: str, **environment: str) -> AsyncIterator[None]:
    """The stranger's program, which must not complain."""
    async with running(command, folder, url, environment=environment) as log:
        yield
    assert "Traceback" not in log.read_text(), log.read_text()


@asynccontextmanager
async def fastapi(folder: Path, python: Path) -> AsyncIterator[str]:
    port = free_port()
    command = [str(python), "-I", "-m", "uvicorn", "main:app", "--app-dir", str(folder), "--port", str(port)]
    async with application(command, folder, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def served(folder: Path, python: Path, port: int, **settings: Any) -> AsyncIterator[ServerProcess]:
    """`pns serve` of the wheel, which asks the application at `port`."""
    command = [str(python), "-I", str(python.with_name("pns")), "serve"]
    auth = f"http://127.0.0.1:{port}/pns-auth"
    async with ServerProcess(folder, auth_url=auth, command=command, **settings) as server:
        yield server


@asynccontextmanager
async def flask(folder: Path, python: Path) -> AsyncIterator[str]:
    """By gunicorn, behind nginx with the file of deploy/."""
    port = free_port()
    async with AsyncExitStack() as stack:
        trusted = {"server__trusted_proxies": "127.0.0.1"}
        server = await stack.enter_async_context(served(folder, python, port, **trusted))
        gunicorn = ["-m", "gunicorn", "--chdir", str(folder), "--bind", f"127.0.0.1:{port}", "main:app"]
        environ = {"PNS_URL": server.url, "PNS_KEY": API_KEY}
        program = application([str(python), "-I", *gunicorn], folder, f"http://127.0.0.1:{port}/", **environ)
        await stack.enter_async_context(program)
        nodes = [server.port, free_port()]
        proxy = await stack.enter_async_context(front("nginx", folder, nodes=nodes, application=port))
        yield proxy.url


@asynccontextmanager
async def express(folder: Path, python: Path) -> AsyncIterator[str]:
    """Beside PNS on another port: the same site to a browser, another origin."""
    port = free_port()
    await asyncio.to_thread(with_client, folder)
    origin = f"http://127.0.0.1:{port}"
    async with served(folder, python, port, server__allowed_origins=origin) as server:
        environ = {"PNS_URL": server.url, "PNS_KEY": API_KEY, "PORT": str(port)}
        async with application(["node", "main.mjs"], folder, f"{origin}/", **environ):
            yield origin


KINDS = [fastapi, flask, express]


@pytest_asyncio.fixture(loop_scope="session", params=KINDS, ids=lambda each: each.__name__)
async def site(request: pytest.FixtureRequest, released: Path, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a stranger's application."""
    for file in (STRANGERS / request.param.__name__).iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    async with request.param(tmp_path, released) as url:
        yield url


async def test_a_bell_at_one(site: str, browser: Browser) -> None:
    context = await browser.new_context()
    assert (await context.request.post(f"{site}/login/42")).ok
    page = await context.new_page()
    await page.goto(f"{site}/")
    await state_is(page, "live")
    assert (await context.request.post(f"{site}/ship/42")).ok
    await count_is(page, 1)
    await context.close()


async def test_little_is_written() -> None:
    for name in ("fastapi", "flask", "express"):
        (file,) = (each for each in (STRANGERS / name).iterdir() if each.is_file())
        lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
        assert len(lines) <= TO_WRITE, name
