"""The application's side of a running PNS: typed calls with an API key."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2 as httpx


class Backend:
    """An HTTP client with the key; `http` for anything that has no method here."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def notify(self, user_id: str, *notifications: str | dict[str, Any]) -> list[str]:
        """Notify and return the ids; a string is the notification_data."""
        items = [{"notification_data": item} if isinstance(item, str) else item for item in notifications]
        response = await self.http.post("/notify", json={"user_id": user_id, "notifications": items})
        assert response.status_code in (200, 201), response.text
        ids: list[str] = response.json()["notification_ids"]
        return ids

    async def user(self, user_id: str, **parameters: str) -> dict[str, Any]:
        return await self._json("GET", f"/users/{quote(user_id, safe='')}", params=parameters)

    async def inbox(self, user_id: str, **parameters: str | int) -> list[dict[str, Any]]:
        answer = await self._json("GET", f"/users/{quote(user_id, safe='')}/notifications", params=parameters)
        items: list[dict[str, Any]] = answer["notifications"]
        return items

    async def is_spread(self, publication_id: str) -> bool:
        """Whether the publication has reached everybody."""
        return (await self._json("GET", f"/publications/{publication_id}"))["end_date"] is not None

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = await self.http.request(method, path, **options)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body
