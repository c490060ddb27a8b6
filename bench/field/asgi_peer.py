"""What the peers under uvicorn share: the login by the application, POST /tell?user=…, and the server."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import httpx2 as httpx
import uvicorn

_logins = httpx.AsyncClient(trust_env=False, timeout=60)


async def login(cookie: str) -> str | None:
    """The user whose cookie this is, as the application says; None for nobody."""
    answer = await _logins.post(sys.argv[2], headers={"cookie": cookie})
    return str(answer.json()["user_id"]) if answer.status_code == 200 else None


def telling(tell: Callable[[str, str], Awaitable[object]]) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """POST /tell?user=…, which calls `tell` with the user and the text."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        text = (await receive())["body"].decode()
        await tell(parse_qs(scope["query_string"].decode())["user"][0], text)
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body"})

    return application


def serve(application: Any) -> None:
    """Serve at the port of the command line."""
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
        lifespan="off",
        backlog=4096,
        ws_per_message_deflate=False,
    )
