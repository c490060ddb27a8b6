"""Mozilla's part between a push service and Firefox: the WebSocket by which a browser subscribes and is told.

The four messages of its protocol that a browser needs: hello, register, notification, ack.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from tests.harness.push_service import Message, PushService, base64url

DELIVERED = 100
"""How a browser acknowledges what its page's service worker got; 101: it could not be decrypted."""


class Autopush:
    """Use as `async with`. `hello` is set once a browser is there: before, `subscribe()` would hang in it."""

    def __init__(self, service: PushService) -> None:
        self.hello = asyncio.Event()
        self.acks: list[int] = []
        self._service = service
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/"

    async def __aenter__(self) -> Self:
        self._server = await serve(self._talk, "127.0.0.1", 0, subprotocols=["push-notification"])  # type: ignore[list-item]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _talk(self, browser: ServerConnection) -> None:
        with suppress(ConnectionClosedError):  # as a browser does that is killed
            async for text in browser:
                message = json.loads(text)
                answer = self._answer(message, browser)
                if answer is not None:
                    await browser.send(json.dumps(answer))
                if message.get("messageType") == "hello":
                    self.hello.set()

    def _answer(self, message: dict[str, Any], browser: ServerConnection) -> dict[str, Any] | None:
        match message.get("messageType"):
            case "hello":
                return {"messageType": "hello", "uaid": uuid4().hex, "status": 200, "use_webpush": True}
            case "register":
                endpoint = self._register(message["channelID"], message.get("key"), browser)
                return message | {"status": 200, "pushEndpoint": endpoint}
            case "unregister":
                return message | {"status": 200}
            case "ack":
                self.acks += [update["code"] for update in message["updates"]]
            case None:
                return {}  # a ping
        return None

    def _register(self, channel: str, key: str | None, browser: ServerConnection) -> str:
        def deliver(message: Message) -> None:
            notification = {
                "messageType": "notification",
                "channelID": channel,
                "version": uuid4().hex,
                "headers": {"encoding": message.headers["content-encoding"]},
                "data": base64url(message.body),
            }
            task = asyncio.create_task(_send(browser, notification))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return self._service.subscribe(deliver, key=key and key.rstrip("="))


async def _send(browser: ServerConnection, notification: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):  # a browser that was killed meanwhile
        await browser.send(json.dumps(notification))
