"""A process of a test that takes signals, and may stand still as on a machine that was suspended."""

from __future__ import annotations

import signal
from typing import Generic, TypeVar

from tests.harness.forkserver import Process

P = TypeVar("P", bound=Process)


class Freezing(Generic[P]):
    """The signals to `process`, which is None before the first start."""

    process: P | None = None

    def freeze(self) -> None:
        """Let it stand still, its connections open, until `thaw`."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, sig: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(sig)
