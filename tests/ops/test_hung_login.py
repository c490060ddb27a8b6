"""A host whose sync `user=` hangs: its threads are bounded, the rest of it works, and its process can end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx2 as httpx

from pns.testing.temporary import empty_store
from tests.harness import eventually
from tests.harness.server import free_port

TURNS = 4
HOST = f"""
import sys, threading, uvicorn
from pns import PNS, Settings
from pns.settings import AuthSettings
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

def user(request):
    threading.Event().wait()

def threads(request):
    return PlainTextResponse(str(threading.active_count()))

settings = Settings(auth=AuthSettings(timeout_seconds=0.3, max_concurrency={TURNS}))
pns = PNS(sys.argv[1], user=user, settings=settings)
app = Starlette(routes=[Route("/threads", threads), Mount("/pns", app=pns)], lifespan=pns.lifespan)
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


async def test_a_hanging_login_takes_its_turns_and_no_more(tmp_path: Path) -> None:
    store, port = f"sqlite:///{empty_store(tmp_path / 'pns.db')}", free_port()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOST, store, str(port)), env=environment, cwd=tmp_path
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:

            async def threads() -> int:
                return int((await browser.get(f"{url}/threads")).text)

            async def up() -> bool:
                try:
                    return await threads() > 0
                except httpx.HTTPError:
                    return False

            await eventually(up)
            before = await threads()
            answers = await asyncio.gather(*(browser.post(f"{url}/pns/subscribe") for _ in range(40)))
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["code"] for answer in answers} == {"auth_unavailable"}
            assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
            assert await threads() <= before + TURNS
        host.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await host.wait()
    finally:
        if host.returncode is None:
            host.kill()
            await host.wait()
