"""PNS as a service of its own: what `pns serve` and `pns migrate` do."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import uvicorn

from pns.clock import SystemClock
from pns.errors import PNSError, SettingsError
from pns.metrics import Metrics
from pns.node import Node
from pns.ops.compose import make_application_authority, make_bus, make_device_authority, make_store
from pns.ops.server import BACKLOG, listen, serve
from pns.ops.workers import Workers, check
from pns.settings import Settings
from pns.web.app import Web

log = logging.getLogger(__name__)


def make_service(settings: Settings) -> tuple[Node, Web]:
    """A node and its web edge, ready for `serve`. Raises SettingsError."""
    clock, metrics = SystemClock(), Metrics()
    store = make_store(settings, clock=clock, metrics=metrics)
    node = Node(
        settings,
        store=store,
        bus=make_bus(settings, store, clock=clock, metrics=metrics),
        authority=make_device_authority(settings, store, clock=clock, metrics=metrics),
        metrics=metrics,
        clock=clock,
        in_place=True,
    )
    return node, Web(node, make_application_authority(settings, clock=clock))


def run(settings: Settings, *, count: int = 1) -> int:
    """Serve with `count` processes until a signal; returns the exit code.

    Raises PNSError when it cannot start.
    """
    check(settings, count)
    if not settings.auth.url:
        raise SettingsError(
            "auth.url is not set: PNS asks your application who a device belongs to. Set it to the address "
            'of an endpoint that answers a logged-in user\'s request with {"user_id": …}, '
            'such as auth.url = "http://127.0.0.1:8000/pns-auth" or PNS_AUTH__URL'
        )
    if not settings.app.api_keys and not settings.app.oauth2.issuer:
        log.warning(
            "no API key is set, so POST /notify answers 401: put one from `pns keygen` into app.api_keys"
        )
    with _listener(settings) as listener:
        if count > 1:
            listener.listen(BACKLOG)
            return Workers(count, lambda: _serve(settings, listener)).run()
        return _serve(settings, listener)


def _serve(settings: Settings, listener: socket.socket) -> int:
    node, web = make_service(settings)
    loop_factory = uvicorn.Config(web, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(settings, node, web, listener))
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
    """Bring the store's schema up to date; returns a sentence on what it is now."""
    store = make_store(settings, clock=SystemClock(), metrics=Metrics())

    async def open_and_close() -> None:
        try:
            await store.open()
        finally:
            await store.close()

    asyncio.run(open_and_close())
    return "the store's schema is up to date"
