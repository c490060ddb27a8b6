"""What PNS's connections are compared with: an ASGI application that accepts, and sends without pause while
it is told to. It keeps nothing, asks nobody and stores nothing.
"""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send


class Bare:
    """`POST /pump` starts to send to all connections without pause, `POST /rest` ends that."""

    def __init__(self) -> None:
        self._sends: set[Send] = set()
        self._pump: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connection(receive, send)
            return
        self._turn(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def _connection(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"newNotificationCountChanged":0}'})
        self._sends.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._sends.discard(send)

    def _turn(self, path: str) -> None:
        if path == "/pump":
            self._pump = asyncio.create_task(self._send_on())
        elif path == "/rest" and self._pump is not None:
            self._pump.cancel()

    async def _send_on(self) -> None:
        count = 0
        while True:
            count += 1
            text = f'{{"newNotificationCountChanged":{count}}}'
            for send in list(self._sends):
                await send({"type": "websocket.send", "text": text})
            await asyncio.sleep(0)
