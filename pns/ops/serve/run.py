"""PNS as a server of its own: the work of `pns serve` and `pns migrate`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import tempfile
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from pns.compose import (
    half_configured,
    make_adapters,
    make_application_authority,
    make_store,
)
from pns.errors import PNSError, SettingsError
from pns.model.role import Role
from pns.node import Node
from pns.ops.serve.heap import search_less
from pns.ops.serve.server import BACKLOG, listen, serve
from pns.ops.serve.worker_metrics import Siblings
from pns.ops.serve.workers import Workers, check
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings
from pns.web.app import Web
from pns.web.operations import Exposition

log = logging.getLogger(__name__)


def assemble(
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    exposition: Exposition | None = None,
    role: Role = "all",
) -> tuple[Node, Web]:
    """A node and its web edge, ready for `serve`. Raises SettingsError."""
    clock, metrics = SystemClock(), metrics or Metrics()
    adapters = make_adapters(settings, clock=clock, metrics=metrics)
    node = Node(settings, adapters, metrics=metrics, clock=clock, in_place=True, role=role)
    authority = make_application_authority(settings, clock=clock)
    return node, Web(node, authority, exposition=exposition, role=role)


def run(settings: Settings, *, count: int = 1, role: Role = "all") -> int:
    """Serve with `count` processes until a signal; returns the exit code.

    Raises PNSError when it cannot start.
    """
    check(settings, count)
    if not settings.auth.url and role != "push":
        raise SettingsError(
            "auth.url is not set: PNS asks your application who a device belongs to. Set it to the address "
            'of an endpoint that answers a logged-in user\'s request with {"user_id": …}, '
            'such as auth.url = "http://127.0.0.1:8000/pns-auth" or PNS_AUTH__URL'
        )
    if not settings.app.api_keys and not settings.app.oauth2.issuer and role != "push":
        log.warning(
            "no API key is set, so POST /notify answers 401: put one from `pns keygen` into app.api_keys"
        )
    if settings.bus.is_local and not settings.store.is_sqlite:
        log.warning(
            "bus.url is local://: other nodes on this store learn of changes at their heartbeats only"
        )
    for half in half_configured(settings.push):
        log.warning("%s is set, but %s is off: %s is not set", *half)
    with _listener(settings) as listener:
        if count == 1:
            return _serve(settings, listener, role)
        assemble(settings, role=role)  # finds impossible settings before any process starts
        listener.listen(BACKLOG)
        with tempfile.TemporaryDirectory(prefix="pns-") as folder:
            work = partial(_serve_among, settings, listener=listener, folder=Path(folder), role=role)
            return Workers(count, work).run()


def _serve(settings: Settings, listener: socket.socket, role: Role) -> int:
    node, web = assemble(settings, role=role)
    return _complete(serve(settings, node, web, listener=listener))


def _serve_among(
    settings: Settings, number: int, *, listener: socket.socket, folder: Path, role: Role
) -> int:
    """Serve as a worker among several. Their metrics are told together."""
    metrics = Metrics()
    siblings = Siblings(folder, number, metrics.text)
    node, web = assemble(settings, metrics=metrics, exposition=siblings.text, role=role)

    async def serve_among() -> None:
        async with siblings:
            await serve(settings, node, web, listener=listener)

    return _complete(serve_among())


def _complete(serving: Coroutine[Any, Any, None]) -> int:
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    search_less()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serving)
    return 0


def _listener(settings: Settings) -> socket.socket:
    server = settings.server
    try:
        return listen(server.host, server.port)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "another program listens there; stop it, or set server.port",
            errno.EACCES: "this user may not listen there; take a port of 1024 or above",
            errno.EADDRNOTAVAIL: "this machine has no such address; set server.host",
        }.get(error.errno or 0, error.strerror or str(error))
        raise PNSError(f"cannot listen on {server.host}:{server.port}: {reason}") from None


def migrate(settings: Settings) -> str:
    """Bring the store's schema up to date; returns a sentence on the new state."""
    store = make_store(settings, clock=SystemClock(), metrics=Metrics())

    async def open_and_close() -> None:
        try:
            await store.open()
        finally:
            await store.close()

    asyncio.run(open_and_close())
    return "the store's schema is up to date"
