"""What a page says that nobody drives: it POSTs to `/told/{what}`."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Told:
    """The words of a page, in order. `route` belongs into the application of the page."""

    def __init__(self) -> None:
        self.route = Route("/told/{what}", self._hear, methods=["POST"])
        self._words: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def is_told(self, what: str, said: object) -> None:
        """What the page says next."""
        async with asyncio.timeout(60):
            assert await self._words.get() == (what, said)

    async def _hear(self, request: Request) -> Response:
        self._words.put_nowait((request.path_params["what"], await request.json()))
        return Response(status_code=204)
