"""What a running server process holds: connections, memory, and what its metrics say."""

from __future__ import annotations

import psutil

from tests.harness.backend import Backend
from tests.harness.server import ServerProcess


def sockets(server: ServerProcess) -> int:
    """How many connections of others the process holds."""
    connections = psutil.Process(server.pid).net_connections("tcp")
    return sum(c.laddr.port == server.port and c.status != psutil.CONN_LISTEN for c in connections)


def resident(server: ServerProcess) -> int:
    """Bytes of resident memory."""
    return int(psutil.Process(server.pid).memory_info().rss)


async def metric(backend: Backend, name: str) -> float:
    """The value of a metric, written as in the exposition: `pns_closes_total{code="4408"}`; 0 if missing."""
    text = (await backend.http.get("/metrics")).text
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == name]
    return float(values[0]) if values else 0.0
