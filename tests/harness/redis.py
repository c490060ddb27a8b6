"""A real Redis."""

from __future__ import annotations

import asyncio

from tests.harness.broker import Broker


class Redis(Broker):
    """`redis-server` that keeps nothing on disk."""

    scheme = "redis"
    greeting = (b"PING\r\n", b"+PONG")

    def command(self, folder: str) -> list[str]:
        listen = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", folder]
        return ["redis-server", *listen, "--save", "", "--appendonly", "no"]

    async def run(self, *words: str) -> str:
        """The first line of the answer to a command, which must be no error."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"*{len(words)}\r\n".encode())
            for word in words:
                writer.write(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()))
            answer = (await reader.readline()).decode().strip()
        finally:
            writer.close()
        assert not answer.startswith("-"), answer
        return answer
