"""A crowd of users, and an application that gives out a new session with every answer.

The trap is a session that PNS keeps from one user's answer and shows with another's question.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from http.cookies import SimpleCookie

import msgspec

from tests.harness import Backend, Device
from tests.harness.application import Asked, Reply
from tests.harness.raw import RawPeer, upgrade_head

TOKEN_HEADER = "x-user-token"
Headers = dict[str, str]


class Sessions:
    """Who holds which session. Every answer has a `Set-Cookie` with a new one of the same user."""

    def __init__(self, *, by_header: bool) -> None:
        self.by_header = by_header
        self._users: dict[str, str] = {}

    def log_in(self, user: str) -> Headers:
        """A new session, as the headers of the user's browser."""
        session = secrets.token_hex(16)
        self._users[session] = user
        return {TOKEN_HEADER: session} if self.by_header else {"Cookie": f"theme=dark; sid={session}"}

    def decide(self, asked: Asked) -> Reply:
        if self.by_header:
            session = asked.get(TOKEN_HEADER, "")
        else:
            morsel = SimpleCookie(asked.get("cookie", "")).get("sid")
            session = morsel.value if morsel else ""
        user = self._users.get(session)
        if user is None:
            return 401, b"{}", [("set-cookie", "sid=nobody; Path=/")]
        rotated = secrets.token_hex(16)
        self._users[rotated] = user
        cookie = f"sid={rotated}; Path=/; HttpOnly"
        return 200, msgspec.json.encode({"user_id": user}), [("set-cookie", cookie), (TOKEN_HEADER, rotated)]


class Crowd:
    """Everybody who comes to one server at once."""

    def __init__(self, backend: Backend, sessions: Sessions) -> None:
        self.backend = backend
        self.sessions = sessions
        self.url = str(backend.http.base_url).rstrip("/")
        self.delivered = 0
        self.turned_away = 0

    async def user(self, user: str, visit: int) -> None:
        """Connect, be notified, read; whoever else comes at the same time must make no difference."""
        headers = self.sessions.log_in(user)
        asked = await self.backend.http.post("/subscribe", headers={**headers, "authorization": ""})
        assert asked.json()["user_id"] == user
        if int(user.rpartition("-")[2]) % 2:
            headers = self.sessions.log_in(user)
        async with Device.connect(self.url, headers=headers) as device:
            await device.count()
            data = json.dumps({"for": user, "visit": visit})
            await self.backend.notify(user, data)
            await device.count_is(1)
            shown = await device.unseen()
            assert [item["notification_data"] for item in shown] == [data], (user, shown)
            kept = await device.seen()
            assert {json.loads(item["notification_data"])["for"] for item in kept} == {user}
            assert len(kept) == visit + 1
            self.delivered += 1

    async def leaver(self, user: str) -> None:
        """Drop the line while the application is asked, by handshake and by POST."""
        for method in ("GET", "POST"):
            async with RawPeer.connect(self.url) as peer:
                await peer.send(self._head(method, self.sessions.log_in(user)))

    async def stranger(self) -> None:
        """Nobody: no session, a cookie that says nothing, a session that nobody has."""
        for headers in ({}, {"Cookie": "theme=dark"}, {"Cookie": "sid=nobody"}, {TOKEN_HEADER: "nobody"}):
            for method in ("GET", "POST"):
                async with RawPeer.connect(self.url) as peer:
                    await peer.send(self._head(method, headers))
                    status, answered = await peer.head()
                    assert status == 401, (method, headers, status)
                    assert "set-cookie" not in answered
                    self.turned_away += 1

    def _head(self, method: str, headers: Headers) -> bytes:
        extra = tuple(headers.items())
        if method == "GET":
            return upgrade_head(extra=extra, without=("Cookie",))
        lines = [f"{name}: {value}" for name, value in (("Host", "pns"), ("Content-Length", "0"), *extra)]
        return "\r\n".join(["POST /subscribe HTTP/1.1", *lines, "", ""]).encode()

    async def come(self, users: int, visit: int) -> None:
        """All at once: every user, a leaver for every third and a stranger for every fourth."""
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                group.create_task(self.user(f"user-{number}", visit))
                if number % 3 == 0:
                    group.create_task(self.leaver(f"user-{number}"))
                if number % 4 == 0:
                    group.create_task(self.stranger())
