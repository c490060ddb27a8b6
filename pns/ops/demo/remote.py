"""The calls of the demo application to a PNS beside it: HTTP, with an API key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx
import msgspec

from pns.errors import PNSError
from pns.model.notification import Notification

TIMEOUT_SECONDS = 10.0


class RemotePNS:
    """The calls of the demo, named as in an embedded PNS. Use as `async with`."""

    def __init__(self, url: str, *, key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def notify(self, user_id: str, notifications: list[Notification]) -> None:
        """Store them durably, all or nothing. Raises PNSError with PNS's own words when they were not."""
        await self._call(
            "POST", "/notify", json={"user_id": user_id, "notifications": msgspec.to_builtins(notifications)}
        )

    async def withdraw(self, user_id: str, notification_id: str) -> None:
        """Take one notification back. Nothing happens if the notification is not kept any more."""
        await self._call("DELETE", f"/users/{user_id}/notifications/{notification_id}")

    async def declare_category(
        self,
        category: str,
        title: str,
        *,
        description: str,
        defaults: Mapping[str, bool],
        required: Sequence[str],
    ) -> None:
        """Declare a category of notifications, or declare it anew."""
        said = {"title": title, "description": description, "defaults": defaults, "required": required}
        await self._call("PUT", f"/categories/{category}", json=said)

    async def disconnect(self, user_id: str) -> None:
        """End the user's connections. A device may come back if the application still knows its session."""
        await self._call("DELETE", f"/users/{user_id}/connections")

    async def user(self, user_id: str) -> dict[str, Any]:
        """The user's count and devices, from the view of the node that answers."""
        found: dict[str, Any] = (await self._call("GET", f"/users/{user_id}?here=true")).json()
        return found

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise PNSError(f"PNS did not answer: {error or type(error).__name__}") from None
        if response.is_error:
            raise PNSError(f"PNS answered {response.status_code}: {response.text}")
        return response
