"""`make fleet`: three nodes of PNS on PostgreSQL and Redis behind nginx, with the demo application in front.

All servers listen on loopback. Stored data lies in a temporary folder and is deleted with the folder. The
page /fleet shows the node of each connection, and kills a node on request.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pns.errors import PNSError
from pns.ops.demo.application import make_application
from pns.ops.demo.process import PNSProcess, port_of, reserve
from pns.ops.demo.remote import RemotePNS
from pns.ops.demo.server import Server
from pns.ops.demo.sessions import Sessions
from pns.ops.fleet.banner import banner
from pns.ops.fleet.nodes import Nodes
from pns.ops.fleet.pages import FleetPages
from pns.ops.fleet.servers import front, postgres, redis
from pns.ops.serve import logs
from pns.ops.serve.server import listen
from pns.settings import LogSettings

HOST = "127.0.0.1"
NODES = 3


def run(*, port: int, echo: Callable[[str], object]) -> int:
    """Run the fleet behind `port` of 127.0.0.1 (0: any free port) until Ctrl-C; returns the exit code.

    `echo` receives the text for the user once the page can be opened. Raises PNSError when the port is taken,
    a program is not installed, or a server does not start.
    """
    logs.configure(LogSettings(level="warning"))
    with (
        TemporaryDirectory(prefix="pns-fleet-") as folder,
        suppress(KeyboardInterrupt),  # before the application's server has taken the signal over
    ):
        asyncio.run(_run(Path(folder), _free(port), echo))
    return 0


async def _run(folder: Path, port: int, echo: Callable[[str], object]) -> None:
    key, sessions = secrets.token_urlsafe(24), Sessions(port)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        # Kept from others while the fleet runs: a killed node comes back at its port.
        places = [stack.enter_context(reserve(0)) for _ in range(2 + NODES)]
        of_postgres, of_redis, *of_nodes = map(port_of, places)
        listener = stack.enter_context(listen(HOST, 0))
        behind = port_of(listener)
        store = await enter(postgres(folder, port=of_postgres))
        bus = await enter(redis(folder, port=of_redis))
        settings = {"STORE__URL": store, "BUS__URL": bus, "SERVER__TRUSTED_PROXIES": HOST}
        processes = [
            PNSProcess(folder, application_port=behind, key=key, port=one, settings=settings)
            for one in of_nodes
        ]
        nodes = await enter(Nodes(processes, key=key))
        address = await enter(front(folder, port=port, application=behind, nodes=of_nodes))
        pns = await enter(RemotePNS(f"{address}/pns", key=key))
        pages = FleetPages(nodes, sessions)
        application = make_application(pns, sessions=sessions, fleet=pages.routes)
        words = banner(address, key=key, nodes=nodes)
        await Server(application, on_start=lambda: echo(words)).serve(sockets=[listener])


def _free(port: int) -> int:
    """`port`, or any free port for 0. Raises PNSError when `port` is taken."""
    try:
        with listen(HOST, port) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PNSError(
            f"cannot listen on {HOST}:{port}: {reason}. Take another port, or 0 for any: make fleet PORT=0"
        ) from None
