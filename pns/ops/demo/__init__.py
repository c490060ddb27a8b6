"""`pns demo`: an application with two users and a login of its own, and PNS beside or inside the application.

Beside the application, PNS is `pns serve` in a process of its own and asks the application over HTTP for each
device's user. Embedded, PNS is mounted at /pns of the same server. All servers listen on loopback. Stored
data lies in a temporary folder and is deleted with the folder. The demo reads no settings, except from a file
that the user names.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from pns.errors import PNSError
from pns.library import PNS
from pns.ops.demo.application import make_application
from pns.ops.demo.banner import banner
from pns.ops.demo.process import PUSH_SUBJECT, PNSProcess, port_of, reserve
from pns.ops.demo.remote import RemotePNS
from pns.ops.demo.server import Server
from pns.ops.demo.sessions import Sessions
from pns.ops.serve import logs
from pns.ops.serve.server import address_of, listen
from pns.settings import AppSettings, LogSettings, PushSettings, Settings

HOST = "127.0.0.1"


def run(*, embedded: bool, port: int, echo: Callable[[str], object], config: Path | None = None) -> int:
    """Run the demo on `port` of 127.0.0.1 (0: any free port) until Ctrl-C; returns the exit code.

    `echo` receives the text for the user once the page can be opened. `config` is a file of settings for PNS;
    PNS's address, its key and its login stay the demo's. Raises PNSError when the port is taken, or when PNS
    does not start or ends by itself.
    """
    logs.configure(LogSettings(level="warning"))
    demo = _embedded if embedded else _separate
    with (
        _listener(port) as listener,
        TemporaryDirectory(prefix="pns-demo-") as folder,
        suppress(KeyboardInterrupt),  # before the server has taken the signal over
    ):
        asyncio.run(demo(listener, Path(folder), echo, config=config))
    return 0


async def _separate(
    listener: socket.socket, folder: Path, echo: Callable[[str], object], *, config: Path | None
) -> None:
    address, port, key = address_of(listener), port_of(listener), secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:
        beside = stack.enter_context(reserve(port + 1, 0))  # the next port is easy to remember
        process = await stack.enter_async_context(
            PNSProcess(folder, application_port=port, port=port_of(beside), key=key, config=config)
        )
        remote = await stack.enter_async_context(RemotePNS(process.url, key=key))
        application = make_application(remote, sessions=Sessions(port), process=process)
        words = banner(address, pns=process.url, key=key, embedded=False)
        server = Server(application, on_start=lambda: echo(words))
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(process.ended(server.stop))
            await server.serve(sockets=[listener])
            watch.cancel()
        process.check()


async def _embedded(
    listener: socket.socket, folder: Path, echo: Callable[[str], object], *, config: Path | None
) -> None:
    address, port, key = address_of(listener), port_of(listener), secrets.token_urlsafe(24)
    sessions = Sessions(port)
    given = Settings.load(config, {}) if config else Settings()
    settings = msgspec.structs.replace(
        given, app=AppSettings(api_keys=(key,)), push=_with_subject(given.push)
    )
    pns = PNS(
        f"sqlite:///{folder / 'pns.db'}", user=sessions.user, operator=sessions.operator, settings=settings
    )
    application = make_application(pns, sessions=sessions, mounted=pns)
    words = banner(address, pns=f"{address}/pns", key=key, embedded=True)
    server = Server(application, on_start=lambda: echo(words))
    await server.serve(sockets=[listener])
    if not server.started:
        raise PNSError("the demo could not start; the log above says why")


def _with_subject(push: PushSettings) -> PushSettings:
    webpush = msgspec.structs.replace(push.webpush, subject=push.webpush.subject or PUSH_SUBJECT)
    return msgspec.structs.replace(push, webpush=webpush)


def _listener(port: int) -> socket.socket:
    try:
        return listen(HOST, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PNSError(
            f"cannot listen on {HOST}:{port}: {reason}. Take another port, or 0 for any: "
            "pns demo --port 0 (make run PORT=0)"
        ) from None
