"""Django Channels under uvicorn, with the layer in memory. Arguments: the port, and the application's URL."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

from bench.field.asgi_peer import login, serve, telling

settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402  # after Django's settings
from channels.layers import get_channel_layer  # noqa: E402


class Inbox(AsyncWebsocketConsumer):  # type: ignore[misc, unused-ignore]
    """A connection of a user."""

    async def connect(self) -> None:
        cookie = dict(self.scope["headers"]).get(b"cookie", b"").decode()
        user = await login(cookie)
        if user is None:
            await self.close()
            return
        self.group = user
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send("0")

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def tell(self, event: dict[str, str]) -> None:
        await self.send(event["text"])


websockets = Inbox.as_asgi()


async def tell(user: str, text: str) -> None:
    await get_channel_layer().group_send(user, {"type": "tell", "text": text})


requests = telling(tell)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """WebSockets, and POST /tell?user=…"""
    await (websockets if scope["type"] == "websocket" else requests)(scope, receive, send)


if __name__ == "__main__":
    serve(application)
