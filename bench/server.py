"""The servers that are measured, each on one core: PNS, and what PNS is compared with.

    pns     `pns serve` as it is
    limit   the same with a store that accepts everything in memory
    naive   the same with a commit for each request
    bare    an ASGI application on the same server and socket that only accepts and sends

Run as `python -m bench.server KIND CORE`, with PNS's settings in the environment.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from unittest.mock import patch

import uvicorn

# First: what websockets reads when it is imported.
from bench.bare import Bare
from bench.stores import MemoryStore, one_by_one
from pns.compose import make_store
from pns.contracts.store import Store
from pns.ops.serve import logs
from pns.ops.serve import run as service
from pns.ops.serve.server import BACKLOG, PING_SECONDS, listen
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.settings import Settings


def main(kind: str, core: int) -> int:
    """Serve until a signal."""
    os.sched_setaffinity(0, {core})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    settings = Settings.load()
    logs.configure(settings.log)
    if kind == "bare":
        return serve_bare(settings)
    with patch.object(service, "make_store", STORES[kind]):
        return service.run(settings)


def memory_store(settings: Settings, *, clock: Clock, metrics: Metrics) -> Store:
    return MemoryStore(clock)  # type: ignore[abstract]  # what is missing is never asked here


def naive_store(settings: Settings, *, clock: Clock, metrics: Metrics) -> Store:
    return one_by_one(make_store(settings, clock=clock, metrics=metrics), clock=clock, metrics=metrics)


STORES = {"pns": make_store, "limit": memory_store, "naive": naive_store}


def serve_bare(settings: Settings) -> int:
    """uvicorn's own protocols with PNS's options, on PNS's listening socket."""
    config = uvicorn.Config(
        Bare(),
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=settings.limits.max_message_bytes,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )
    with (
        listen(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
    ):
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
