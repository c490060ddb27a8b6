"""What the gateways push to, on the server's core: nginx in place of the services over HTTP, and Mosquitto.

nginx speaks HTTP/1.1 and HTTP/2, was written by nobody here, and answers every push as its service would
answer a good one; it looks at nothing.
"""

from __future__ import annotations

import ssl
import statistics
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.server_process import SERVER_CORE, on_cores
from tests.adapters.gateways.nginx import nginx as nginx_of_tests
from tests.harness.mosquitto import Mosquitto
from tests.harness.server import free_port

_SITE = """
    listen 127.0.0.1:{port};
    access_log off;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 1000;
    location /fcm/ {{ default_type application/json; return 200 '{{"name":"projects/bench/messages/1"}}'; }}
    location /fcm/token {{
        default_type application/json; return 200 '{{"access_token":"token","expires_in":3600}}'; }}
    location /webpush/ {{ return 201; }}
    location /hub/ {{ return 201; }}
    location /3/device/ {{ add_header apns-id $http_apns_id; return 200; }}
"""


class Peer:
    """A running service."""

    def __init__(self, pid: int) -> None:
        self._processes = [psutil.Process(pid), *psutil.Process(pid).children()]

    def cpu_seconds(self) -> float:
        """CPU time used so far, by all of it."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)


class Watch:
    """How busy a peer, and whoever pushes to it from this process, were: shares of a core, a measurement
    each."""

    def __init__(self, peer: Peer) -> None:
        self.cpu_seconds = peer.cpu_seconds
        self.busy: list[float] = []
        self.generator_busy: list[float] = []

    @property
    def load(self) -> str:
        return (
            f"{statistics.median(self.generator_busy):.0%}, peer {statistics.median(self.busy):.0%} of a core"
        )


class Nginx(Peer):
    """`url` is plain, `tls_url` has TLS and the choice of HTTP/1.1 and HTTP/2; `ca_file` is whom to trust."""

    def __init__(self, pid: int, port: int, tls_port: int, ca_file: str) -> None:
        super().__init__(pid)
        self.port, self.tls_port, self.ca_file = port, tls_port, ca_file
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://localhost:{tls_port}"

    def trust(self, protocol: str) -> ssl.SSLContext:
        """For a client that speaks `protocol`, by its name in ALPN."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.set_alpn_protocols([protocol])
        return context


class Broker(Peer):
    """Mosquitto. `read` lets a device's own client read what comes for it, as fast as it can."""

    def __init__(self, mosquitto: Mosquitto) -> None:
        assert mosquitto.process is not None
        super().__init__(mosquitto.process.pid)
        self.url, self.port = mosquitto.url, mosquitto.port

    @contextmanager
    def read(self, reply: Mapping[str, Any]) -> Iterator[None]:
        """`reply`: what the device was told when it was installed."""
        command = ["mosquitto_sub", "-V", "5", "-q", "1", "-N", "-h", reply["host"], "-p", str(reply["port"])]
        login = ["-i", reply["client_id"], "-u", reply["username"], "-P", reply["password"]]
        topic = ["-c", "-x", str(reply["session_expiry_seconds"]), "-t", reply["topic"]]
        with on_cores([SERVER_CORE]):
            reader = subprocess.Popen([*command, *login, *topic], stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            reader.kill()
            reader.wait()


@asynccontextmanager
async def nginx(folder: Path) -> AsyncIterator[Nginx]:
    """Its files go to `folder`."""
    async with AsyncExitStack() as stack:
        port = free_port()
        with on_cores([SERVER_CORE]):
            started = await stack.enter_async_context(nginx_of_tests(folder, _SITE.format(port=port)))
        yield Nginx(started.pid, port, started.port, str(started.authority.ca_file))


@asynccontextmanager
async def mosquitto() -> AsyncIterator[Broker]:
    """With its plugin for logins, as PNS makes them."""
    async with AsyncExitStack() as stack:
        with on_cores([SERVER_CORE]):
            broker = await stack.enter_async_context(Mosquitto())
        yield Broker(broker)
