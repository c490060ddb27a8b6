"""A host application on a real uvicorn in the test's own event loop, so that a test may also use its PNS."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from tests.harness.waiting import eventually


class Site:
    """`app` at `url`. Use as `async with`; `options` are uvicorn's."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, **options)
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._task: asyncio.Task[None] | None = None
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        # serve() would take the signals of the test run.
        self._task = asyncio.create_task(self._server._serve(sockets=[self._listener]))
        await eventually(lambda: self._server.started)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._server.should_exit = True
        await self._task
