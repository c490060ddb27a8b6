"""python-socketio under uvicorn. Arguments: the port, and the application's URL for logins."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import parse_qs

import httpx2 as httpx
import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
logins = httpx.AsyncClient(trust_env=False, timeout=60)


@sio.event  # type: ignore[untyped-decorator, unused-ignore]
async def connect(sid: str, environ: dict[str, Any]) -> bool:
    """Ask the application who this is."""
    answer = await logins.post(sys.argv[2], headers={"cookie": environ.get("HTTP_COOKIE", "")})
    if answer.status_code == 200:
        await sio.enter_room(sid, answer.json()["user_id"])
    return answer.status_code == 200


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """POST /tell?user=…"""
    text = (await receive())["body"].decode()
    await sio.emit("count", text, to=parse_qs(scope["query_string"].decode())["user"][0])
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body"})


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(sio, tell),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
        lifespan="off",
        backlog=4096,
        ws_per_message_deflate=False,
    )
