"""`pns serve` with other deadlines than the real ones: a program for ServerProcess, with `ping=1 head=0.5`.

`plain=http` or `plain=websocket` takes uvicorn's own protocol in place of PNS's: the control that shows what
a test of that protocol would see without it.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11

from pns.ops.serve import http_protocol, run, server
from pns.ops.serve.logs import configure
from pns.settings import Settings

DEFAULTS = {
    "ping": "20",
    "head": "10",
    "body": "30",
    "user_timeout": "20",
    "keep_alive": "5",
    "flush": "20",
    "plain": "",
}


def program(**options: object) -> list[str]:
    """The program of a ServerProcess."""
    return ["tests.harness.hasty", *(f"{name}={value}" for name, value in options.items())]


def main() -> None:
    options = DEFAULTS | dict(argument.split("=") for argument in sys.argv[1:])

    class Hasty(http_protocol.HTTPProtocol):
        head_seconds = float(options["head"])
        body_seconds = float(options["body"])

    settings = Settings.load()
    configure(settings.log)
    node, web = run.assemble(settings)
    made = server.make_server(settings, node, web, http=Hasty, ping_seconds=float(options["ping"]))
    made.lines.flush_seconds = float(options["flush"])
    made.config.timeout_keep_alive = int(options["keep_alive"])
    if options["plain"] == "http":
        made.config.http = HttpToolsProtocol
    elif options["plain"] == "websocket":
        made.config.ws = WebSocketsSansIOProtocol
        http11.MAX_LINE_LENGTH, http11.MAX_NUM_HEADERS = 8192, 128
    address = settings.server
    loop_factory = uvicorn.Config(web, log_config=None).get_loop_factory()
    with (
        server.listen(address.host, address.port, user_timeout=float(options["user_timeout"])) as listener,
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        runner.run(server.run_server(made, node, listener))
