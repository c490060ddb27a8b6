"""A phone with an app as Genero's guide has it: what it does when it registers, is notified, and leaves.

It takes what the push service hands it in either service's shape, and knows nothing of PNS but the four texts
of the token maintainer.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import httpx2 as httpx

SECONDS = 5.0
"""For which it waits for the token maintainer."""


class Read(NamedTuple):
    """What it found in a notification."""

    id: str
    text: str
    other: str


class PushService:
    """The phone's side of FCM or APNs: hands out a token, and is told when it is not wanted any more."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.registered = False

    def register(self) -> str:
        self.registered = True
        return self.token

    def unregister(self) -> None:
        self.registered = False


class GeneroApp:
    """`kind` is "FCM" or "APNS"; `http` leads to the token maintainer. `screen` is what its user has read."""

    def __init__(self, http: httpx.AsyncClient, kind: str, token: str, user: str) -> None:
        self.service = PushService(token)
        self.screen: list[Read] = []
        self.badge = 0
        """On the icon; APNs sets it, too."""
        self.history: list[str] = []
        self._http = http
        self._kind = kind
        self._user = user

    async def register(self) -> bool:
        """First at the push service, then at the token maintainer."""
        self.history.append("push service")
        self.service.register()
        return await self._command("register", 0) >= 0

    async def unregister(self) -> bool:
        """First at the token maintainer; where that does not work, it stays registered."""
        if await self._command("unregister", 0) < 0:
            return False
        self.history.append("push service")
        self.service.unregister()
        return True

    async def notified(self, *payloads: dict[str, Any]) -> bool:
        """Its push service has brought these; returns whether the new badge was taken."""
        for payload in payloads:
            self.badge = payload.get("aps", {}).get("badge", self.badge)
        self.screen += [read(payload) for payload in payloads]
        if self._kind != "APNS":
            return True
        self.badge = max(self.badge - len(payloads), 0)
        return await self._command("badge_number", self.badge) >= 0

    async def _command(self, name: str, badge: int) -> int:
        self.history.append(name)
        record = {
            "notification_type": self._kind,
            "registration_token": self.service.token,
            "app_user": self._user,
            "badge_number": badge,
        }
        try:
            answer = await self._http.post(f"/token_maintainer/{name}", json=record, timeout=SECONDS)
        except httpx.HTTPError:
            return -1
        return int(answer.json()["status"]) if answer.status_code == 200 else -2


def read(payload: dict[str, Any]) -> Read:
    """What stands in a notification of APNs, or else of FCM."""
    if "aps" in payload:
        return Read(payload["id"], payload["aps"]["alert"], payload["custom_data"]["other_info"])
    data = payload["data"]
    assert all(isinstance(value, str) for value in data.values())
    return Read(data["id"], data["content"], data["other_info"])


def other_info(read: Read) -> Any:
    return json.loads(read.other)
