"""A real NATS."""

from __future__ import annotations

import shutil

from tests.harness.broker import Broker


class NATS(Broker):
    """`nats-server` without JetStream."""

    scheme = "nats"
    greeting = (b"", b"INFO ")

    def command(self, folder: str) -> list[str]:
        program = shutil.which("nats-server") or "/usr/sbin/nats-server"
        return [program, "--addr", "127.0.0.1", "--port", str(self.port), "--pid", f"{folder}/pid"]
