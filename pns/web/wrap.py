"""PNS around any ASGI application: takes the paths below its own, passes everything else on, and lives as
long as the server does, whether the wrapped application has a lifespan (Starlette) or not (Django).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class Entered(AbstractAsyncContextManager[Any], Protocol):
    """An ASGI application that its host must enter before the first call."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


@runtime_checkable
class Rooted(Protocol):
    """An application that was told where browsers find the application, as FastAPI is."""

    root_path: str


def _told_root(app: ASGIApp) -> str:
    """The prefix that `app` was told, which counts before the server's word; "" where `app` was told none."""
    # Quart has a root_path, too: the folder of its files.
    return app.root_path.rstrip("/") if isinstance(app, Starlette) and isinstance(app, Rooted) else ""


class Wrapped:
    """`app` with `pns` at `path`. PNS starts before `app` and ends after `app`, so `app` may always use PNS.

    A server that sends no lifespan, such as Daphne, makes PNS start at the first request.
    """

    def __init__(
        self, app: ASGIApp, pns: Entered, *, path: str, begin: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """`begin` starts `pns` at a request, for a server that sends no lifespan.

        Raises ValueError for a `path` like "pns" or "/".
        """
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"path must begin with a slash and not end with one, such as /pns, not {path!r}")
        self._app = app
        self._pns = pns
        self._path = path
        self._begin = begin
        self._root = _told_root(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._begin = None
            await self._live(scope, receive, send)
            return
        if self._begin is not None:
            await self._begin()
        root = self._root or scope.get("root_path", "").rstrip("/")
        path = self._below(scope["path"], root)
        if path is None:
            await self._app(scope, receive, send)
        else:
            below = {**scope, "root_path": root + self._path, "path": root + path}
            await self._pns(below, receive, send)

    def _below(self, path: str, root: str) -> str | None:
        """`path` below the server's mount prefix `root`, if it is PNS's; None for a path of the application.

        In ASGI `path` begins with the root, but not every server and proxy does so. uvicorn puts its
        `--root-path` in front also where the proxy has kept the prefix: the path begins with the root twice.
        """
        once = _without(path, root)
        for found in (once, _without(once, root)):
            if (found + "/").startswith(self._path + "/"):
                return found
        return None

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._pns)
            except Exception as error:
                log.exception("PNS cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            inner = await stack.enter_async_context(_InnerLifespan(self._app, scope))
            answer = await inner.say("lifespan.startup")
            await send(answer)
            if answer["type"] == "lifespan.startup.failed":
                return
            await receive()
            goodbye = await inner.say("lifespan.shutdown")
        await send(goodbye)


def _without(path: str, root: str) -> str:
    """`path` without `root` at the beginning; `path` itself where the beginning is another."""
    return path[len(root) :] if (path + "/").startswith(root + "/") else path


class _InnerLifespan:
    """The lifespan of the wrapped application, played by messages. An application without a lifespan is
    complete at once.
    """

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._app = app
        self._scope = scope
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="pns wrapped lifespan")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def say(self, kind: str) -> Message:
        """Send `kind` and return the answer; "complete" where nobody can answer."""
        assert self._task is not None
        self._to_app.put_nowait({"type": kind})
        answer = asyncio.create_task(self._from_app.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not self._from_app.empty() or answer.done():
            return await answer
        answer.cancel()
        return {"type": f"{kind}.complete"}

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._from_app.put)
        except Exception as error:
            # ASGI: an application that raises on this scope does not support lifespans.
            log.debug("the wrapped application has no lifespan: %s", error)
