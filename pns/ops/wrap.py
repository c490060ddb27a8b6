"""PNS around any ASGI application: takes the paths below its own, passes everything else on, and lives as
long as the server does, whether the wrapped application has a lifespan (Starlette) or not (Django).
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Wrapped:
    """`app` with `pns` at `path`."""

    def __init__(self, app: ASGIApp, pns: ASGIApp, *, path: str) -> None:
        """`pns` must be an async context manager too. Raises ValueError for a `path` like "pns" or "/"."""
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"path must begin with a slash and not end with one, such as /pns, not {path!r}")
        self._app = app
        self._pns = pns
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._is_below(scope):
            await self._pns({**scope, "root_path": scope.get("root_path", "") + self._path}, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_below(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path == self._path or path.startswith(self._path + "/")

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        entered: AbstractAsyncContextManager[Any] = self._pns  # type: ignore[assignment]
        await receive()
        inner = _InnerLifespan(self._app, scope)
        try:
            await entered.__aenter__()
        except BaseException as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        try:
            await send(await inner.startup())
            await receive()
        finally:
            goodbye = await inner.shutdown()
            await entered.__aexit__(None, None, None)
        await send(goodbye)


class _InnerLifespan:
    """The lifespan of the wrapped application, played to it by messages; absent if it has none."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._app = app
        self._scope = scope
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> Message:
        self._task = asyncio.create_task(self._run())
        return await self._exchange("lifespan.startup") or {"type": "lifespan.startup.complete"}

    async def shutdown(self) -> Message:
        message = await self._exchange("lifespan.shutdown") if self._task else None
        return message or {"type": "lifespan.shutdown.complete"}

    async def _exchange(self, kind: str) -> Message | None:
        """Send `kind` and return the answer; None when the application has no lifespan, or has left it."""
        assert self._task is not None
        if self._task.done():
            return None
        self._to_app.put_nowait({"type": kind})
        answer = asyncio.create_task(self._from_app.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._from_app.put)
        except Exception:
            # ASGI: an application that raises on this scope does not support lifespans.
            return
