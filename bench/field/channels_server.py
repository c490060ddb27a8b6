"""Django Channels under uvicorn, with the layer in memory. Arguments: the port, and the application's URL."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import parse_qs

import django
import httpx2 as httpx
import uvicorn
from django.conf import settings

settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402  # after Django's settings
from channels.layers import get_channel_layer  # noqa: E402

logins = httpx.AsyncClient(trust_env=False, timeout=60)


class Inbox(AsyncWebsocketConsumer):  # type: ignore[misc, unused-ignore]
    """A connection of a user."""

    async def connect(self) -> None:
        cookie = dict(self.scope["headers"]).get(b"cookie", b"").decode()
        answer = await logins.post(sys.argv[2], headers={"cookie": cookie})
        if answer.status_code != 200:
            await self.close()
            return
        self.group = answer.json()["user_id"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send("0")

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def tell(self, event: dict[str, str]) -> None:
        await self.send(event["text"])


websockets = Inbox.as_asgi()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """WebSockets, and POST /tell?user=…"""
    if scope["type"] == "websocket":
        await websockets(scope, receive, send)
        return
    text = (await receive())["body"].decode()
    user = parse_qs(scope["query_string"].decode())["user"][0]
    await get_channel_layer().group_send(user, {"type": "tell", "text": text})
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body"})


if __name__ == "__main__":
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
