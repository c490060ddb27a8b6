"""python-socketio under uvicorn. Arguments: the port, and the application's URL for logins."""

from __future__ import annotations

from typing import Any

import socketio

from bench.field.asgi_peer import login, serve, telling

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])


@sio.event  # type: ignore[untyped-decorator, unused-ignore]
async def connect(sid: str, environ: dict[str, Any]) -> bool:
    """Ask the application who this is."""
    user = await login(environ.get("HTTP_COOKIE", ""))
    if user is not None:
        await sio.enter_room(sid, user)
    return user is not None


async def tell(user: str, text: str) -> None:
    await sio.emit("count", text, to=user)


if __name__ == "__main__":
    serve(socketio.ASGIApp(sio, telling(tell)))
