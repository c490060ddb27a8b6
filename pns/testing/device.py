"""A device without a browser, a socket or a server: an ASGI WebSocket client for the tests of a host.

A device speaks to any ASGI application in the same event loop: a PNS, or the host application with PNS
inside. A device waits for messages and never for time. It cannot show the behaviour of a real server, such as
close codes before the 101.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from starlette.types import ASGIApp, Message, Scope

PATIENCE_SECONDS = 10.0
"""How long a test waits for a message before it fails: only a broken test ever waits this long."""
_TIME_STANDS_STILL = (
    "where the clock is a FakeClock, as in temporary_pns, a push is sent, a date passes and a large "
    "publication goes on only when a test lets time pass: clock.advance(1)"
)


class Refused(Exception):
    """The application refused the connection; `status` is the HTTP status."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body.decode(errors='replace')}")
        self.status = status
        self.body = body


class Closed(Exception):
    """The connection was closed during a wait for a message; `code` is the close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Device:
    """An open connection. `counts` holds every count that was read, in order, and `all_counts` every value of
    `notificationCounts`.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "/subscribe",
        *,
        headers: Mapping[str, str] | None = None,
        ticket: str | None = None,
    ) -> None:
        """`ticket`: the ticket in the answer of POST /subscribe to a client without cookies."""
        self.counts: list[int] = []
        self.all_counts: list[dict[str, Any]] = []
        self.accept_headers: dict[str, str] = {}
        """The headers of the 101 answer, names in lower case."""
        self.subprotocol: str | None = None
        """The subprotocol that the 101 answer selected."""
        self._app = app
        self._scope = _scope(path, headers or {})
        if ticket is not None:
            self._scope["subprotocols"].append(f"pns.ticket.{ticket}")
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        app: ASGIApp,
        path: str = "/subscribe",
        *,
        headers: Mapping[str, str] | None = None,
        ticket: str | None = None,
    ) -> AsyncIterator[Self]:
        """Connect to `path` of `app`. Raises Refused. Leaving disconnects, as closing the page does."""
        device = cls(app, path, headers=headers, ticket=ticket)
        try:
            await device.open()
            yield device
        finally:
            await device.leave()

    async def open(self) -> None:
        """Make the opening handshake. Raises Refused. After calling `open`, you must call `leave` or
        `vanish`.
        """
        self._task = asyncio.create_task(self._run())
        self._to_app.put_nowait({"type": "websocket.connect"})
        message = await self._next()
        if message["type"] == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            self.accept_headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "websocket.http.response.start":
            body = await self._next()
            raise Refused(message["status"], body["body"])
        else:
            raise Refused(403, b"")

    async def leave(self) -> None:
        """Disconnect, and return when the application has let go of the connection. Safe to call twice."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1001})
        if self._task is not None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._task

    async def vanish(self) -> None:
        """Disappear without a word to the application, as at the end of the application's process: its task
        is cancelled.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> dict[str, Any]:
        """The next message, decoded. Raises Closed, or TimeoutError."""
        message = await self._next()
        if message["type"] == "websocket.close":
            raise Closed(message["code"])
        return self._decoded(message)

    def received(self) -> list[dict[str, Any]]:
        """All messages that have come and were not read yet, without waiting. A close stays for `receive`."""
        messages = []
        while not self._from_app.empty():
            message = self._from_app.get_nowait()
            if message is None or message["type"] == "websocket.close":
                self._from_app.put_nowait(message)
                break
            messages.append(self._decoded(message))
        return messages

    async def count_is(self, expected: int) -> None:
        """Return when the newest count that was read is `expected`. PNS may skip intermediate counts.

        Raises TimeoutError, with the newest count, when no message comes for `PATIENCE_SECONDS`.
        """
        while not self.counts or self.counts[-1] != expected:
            try:
                await self.receive()
            except TimeoutError:
                found = f"the count is {self.counts[-1]}, not {expected}" if self.counts else "no count came"
                raise TimeoutError(f"{found}; {_TIME_STANDS_STILL}") from None

    async def all_counts_are(self, **expected: Any) -> None:
        """Return when the newest `notificationCounts` that was read has these members, such as `unread=2`.

        Must follow `ask_counts`. Raises TimeoutError as `count_is` does.
        """
        while not (self.all_counts and expected.items() <= self.all_counts[-1].items()):
            try:
                await self.receive()
            except TimeoutError:
                newest = self.all_counts[-1] if self.all_counts else "none"
                raise TimeoutError(f"the counts are {newest}; {_TIME_STANDS_STILL}") from None

    async def send(self, message: str | dict[str, Any]) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def ask(self, message: str | dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer or error; counts that come between are recorded."""
        await self.send(message)
        asks_counts = isinstance(message, dict) and "countsRequest" in message
        others = {"newNotificationCountChanged"} | (set() if asks_counts else {"notificationCounts"})
        while not others.isdisjoint(answer := await self.receive()):
            pass
        return answer

    async def ask_counts(self, **request: Any) -> dict[str, Any]:
        """Ask for all counts, now and after every change; keywords are members of `countsRequest`."""
        answer = await self.ask({"countsRequest": request})
        counts: dict[str, Any] = answer["notificationCounts"]
        return counts

    async def unseen(self, **request: Any) -> list[dict[str, Any]]:
        """Ask for the unseen notifications; keywords are members of `unseenNotificationDataRequest`."""
        answer = await self.ask({"unseenNotificationDataRequest": request})
        items: list[dict[str, Any]] = answer["newNotificationData"]
        return items

    async def seen(self, **request: Any) -> list[dict[str, Any]]:
        """Ask for seen notifications; keywords are members of `seenNotificationsRequest`."""
        answer = await self.ask({"seenNotificationsRequest": request})
        items: list[dict[str, Any]] = answer["seenNotificationData"]
        return items

    async def mark(self, as_: str, **which: Any) -> int:
        """Mark notifications, and return how many changed; keywords are members of `markNotifications`."""
        answer = await self.ask({"markNotifications": {"as": as_, **which}})
        changed: int = answer["notificationsMarked"]["changed"]
        return changed

    async def snooze(self, notification_id: str, until: str) -> str:
        """Snooze a notification until `until`, an RFC 3339 time; returns the time that PNS took."""
        asked = {"snoozeNotification": {"id": notification_id, "until": until}}
        taken: str = (await self.ask(asked))["notificationSnoozed"]["until"]
        return taken

    async def closed(self) -> int:
        """Read until the application closes, and return the close code."""
        while True:
            try:
                await self.receive()
            except Closed as closed:
                return closed.code

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────

    def _decoded(self, message: Message) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(message["text"])
        if "newNotificationCountChanged" in decoded:
            self.counts.append(decoded["newNotificationCountChanged"])
        if "notificationCounts" in decoded:
            self.all_counts.append(decoded["notificationCounts"])
        return decoded

    async def _next(self) -> Message:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self._from_app.get()
        if message is None:
            assert self._task is not None
            self._from_app.put_nowait(None)
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()  # raises what ended the application
            raise Closed(1006)
        return message

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._from_app.put)
        finally:
            self._from_app.put_nowait(None)


def _scope(path: str, headers: Mapping[str, str]) -> Scope:
    lines = {"host": "testserver"} | {name.lower(): value for name, value in headers.items()}
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("testserver", 80),
        "subprotocols": ["pns.v1"],
        "extensions": {"websocket.http.response": {}},
    }
