"""Senders that tell a scripted application what a store has to tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import pns.push.webhook.sender
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.receiver import Letter, Reply, Taking
from pns.contracts.store import Store, Submission
from pns.inbox.unsubscribing import Unsubscribing
from pns.model.notification import Notification
from pns.model.timestamp import DAY, HOUR, MINUTE
from pns.model.webhook import UnseenTold, WebhookKind, WebhookTerms
from pns.push.webhook.letter import Writer
from pns.push.webhook.sender import Sender
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from pns.testing.temporary import empty_store

TERMS = WebhookTerms(frozenset(WebhookKind), 15 * MINUTE, HOUR, 3 * DAY)
TAKEN = Reply(Taking.TAKEN)
PUBLIC_URL = "https://app.example.com/pns"

Script = Callable[[Letter], Reply | None]
"""What becomes of a letter; None: no answer at all."""
Send = Callable[..., Awaitable[Sender]]


class ScriptedReceiver:
    """See pns.contracts.receiver.Receiver. `asked`: every letter, as they came; `taken`: those it took."""

    kinds = frozenset(WebhookKind)

    def __init__(self, script: Script = lambda letter: TAKEN) -> None:
        self.script = script
        self.asked: list[Letter] = []
        self.taken: list[Letter] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def take(self, letter: Letter) -> Reply:
        self.asked.append(letter)
        reply = self.script(letter)
        if reply is None:
            await asyncio.Event().wait()
            raise AssertionError
        if reply.taking is Taking.TAKEN:
            self.taken.append(letter)
        return reply


@pytest.fixture(autouse=True)
def hasty_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs here hangs for good."""
    monkeypatch.setattr(pns.push.webhook.sender, "STOP_SECONDS", 0.05)


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Store]:
    store = SQLiteStore(empty_store(tmp_path / "pns.db"), clock=clock, metrics=metrics, webhook=TERMS)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def send(store: Store, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Send]:
    """Starts a sender for a receiver."""
    async with AsyncExitStack() as stack:

        async def start(receiver: ScriptedReceiver, *, timeout: float = 10, url: str = PUBLIC_URL) -> Sender:
            writer = Writer(Unsubscribing(store, secret="s" * 32), public_url=url)
            sender = Sender(receiver, store.webhooks, writer, timeout=timeout, clock=clock, metrics=metrics)
            stack.push_async_callback(sender.stop)
            sender.start()
            return sender

        yield start


async def notify(store: Store, user_id: str, *ids: str, category: str | None = None) -> None:
    wanted = tuple(Notification(id, notification_id=id, category=category) for id in ids)
    await store.append([Submission(user_id, wanted)])


def told(letter: Letter) -> tuple[str, list[str]]:
    """The user and the ids of a letter about unseen notifications."""
    data = letter.body.data
    assert isinstance(data, UnseenTold)
    return data.user_id, [item.notification_id for item in data.notifications]
