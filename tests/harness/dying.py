"""A node that sends webhooks and dies by kill -9 at a step of its first event: a program for ServerProcess.

The steps of an event: "due", "claimed", "sent" (the 2xx is there, and not settled), "settled".
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from pns.adapters.stores.sqlite.webhooks import SQLiteWebhooks
from pns.contracts.webhooks import WebhookOutcome, WebhookSettlement
from pns.model.webhook import WebhookEvent
from pns.ops import cli


def program(step: str) -> list[str]:
    """The program of a ServerProcess."""
    return ["tests.harness.dying", step]


def main() -> None:
    _, step = sys.argv
    claim, settle = SQLiteWebhooks.claim, SQLiteWebhooks.settle

    async def dying_claim(self: SQLiteWebhooks, limit: int, until: int) -> list[WebhookEvent]:
        die(step == "due")
        claimed = await claim(self, limit, until)
        die(step == "claimed" and bool(claimed))
        return claimed

    async def dying_settle(self: SQLiteWebhooks, settlements: Sequence[WebhookSettlement]) -> None:
        taken = any(each.outcome is WebhookOutcome.TAKEN for each in settlements)
        die(step == "sent" and taken)
        await settle(self, settlements)
        die(step == "settled" and taken)

    SQLiteWebhooks.claim = dying_claim  # type: ignore[method-assign]
    SQLiteWebhooks.settle = dying_settle  # type: ignore[method-assign]
    sys.argv = ["pns", "serve", "--role", "push"]
    cli.main()


def die(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)
