"""A real Redis."""

from __future__ import annotations

from tests.harness.broker import Broker


class Redis(Broker):
    """`redis-server` that keeps nothing on disk."""

    scheme = "redis"
    greeting = (b"PING\r\n", b"+PONG")

    def command(self, folder: str) -> list[str]:
        listen = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", folder]
        return ["redis-server", *listen, "--save", "", "--appendonly", "no"]
