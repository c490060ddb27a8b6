"""A node that dies by kill -9 in the middle of delivering what was pending: a program for ServerProcess.

The node delivers one step, and dies at a moment of the second: "within" (all moved, nothing committed),
"committed" (no device was told).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pns.adapters.stores.postgres.later as postgres
import pns.adapters.stores.sqlite.later as sqlite
from pns.contracts.later import Delivered
from pns.ops import cli
from tests.harness.dying import die

MOMENTS = ("within", "committed")


def program(moment: str) -> list[str]:
    """The program of a ServerProcess."""
    return ["tests.harness.dying_deliverer", moment]


class Dying:
    """Turns the classes and functions that deliver into others, which die at `moment`."""

    def __init__(self, moment: str) -> None:
        self._moment = moment
        self._steps = 0

    def _is(self, moment: str) -> bool:
        return self._steps == 1 and self._moment == moment

    def deliver(self, deliver: Callable[..., Any]) -> Callable[..., Any]:
        async def dying(later: object, *, committed: Callable[[Delivered], object], **more: Any) -> Delivered:
            def durable(delivered: Delivered) -> None:
                die(self._is("committed") and delivered.taken > 0)
                committed(delivered)

            delivered: Delivered = await deliver(later, committed=durable, **more)
            self._steps += delivered.taken > 0
            return delivered

        return dying

    def within(self, delivered: Delivered) -> Delivered:
        die(self._is("within") and delivered.taken > 0)
        return delivered


def main() -> None:
    dying = Dying(sys.argv[1])
    for store in (sqlite.SQLiteLater, postgres.PostgresLater):
        store.deliver = dying.deliver(store.deliver)  # type: ignore[method-assign]
    in_sqlite, in_postgres = sqlite._deliver, postgres._deliver

    async def deliver(*values: Any, **more: Any) -> Delivered:
        return dying.within(await in_postgres(*values, **more))

    sqlite._deliver = lambda *values, **more: dying.within(in_sqlite(*values, **more))
    postgres._deliver = deliver
    sys.argv = ["pns", "serve"]
    cli.main()
