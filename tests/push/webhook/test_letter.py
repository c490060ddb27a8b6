"""Letters: what the application reads of an event."""

from __future__ import annotations

import msgspec

from pns.contracts.store import Store
from pns.inbox.unsubscribing import Unsubscribing
from pns.model.category import Category, Channels
from pns.model.mark import Mark, MarkAs
from pns.testing import FakeClock
from tests.push.conftest import passes
from tests.push.webhook.conftest import PUBLIC_URL, ScriptedReceiver, Send, notify


async def test_a_letter_of_unseen_notifications(store: Store, send: Send, clock: FakeClock) -> None:
    await store.categories.declare(Category("likes", "Likes", "", Channels(), frozenset()))
    await store.categories.declare(Category("safety", "Safety", "", Channels(), frozenset(["webhook"])))  # type: ignore[list-item]
    receiver = ScriptedReceiver()
    await send(receiver)
    await notify(store, "ann/ü", "a", category="likes")
    await notify(store, "ann/ü", "b", category="safety")
    await notify(store, "ann/ü", "c")
    await passes(clock, 901)
    (letter,) = receiver.taken
    body = msgspec.json.decode(msgspec.json.encode(letter.body))
    unsubscribe = body["data"].pop("unsubscribe")
    assert body == {
        "type": "notifications.unseen",
        "timestamp": "2027-01-15T08:15:00.000000Z",
        "data": {
            "user_id": "ann/ü",
            "unseen": 3,
            "notifications": [
                {
                    "notification_id": id,
                    "notification_data": id,
                    "create_date": "2027-01-15T08:00:00.000000Z",
                    **({"category": category} if category else {}),
                }
                for id, category in (("a", "likes"), ("b", "safety"), ("c", None))
            ],
            "more": False,
        },
    }
    assert unsubscribe.keys() == {"likes"}
    url, _, token = unsubscribe["likes"].partition("?token=")
    assert url == f"{PUBLIC_URL}/unsubscribe"
    link = await Unsubscribing(store, secret="s" * 32).read(token)
    assert link == ("ann/ü", "likes")


async def test_without_an_address_there_are_no_links(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver()
    await send(receiver, url="")
    await notify(store, "ann", "a")
    await passes(clock, 901)
    assert b"unsubscribe" not in msgspec.json.encode(receiver.taken[0].body)


async def test_letters_of_marks(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver()
    await send(receiver)
    await notify(store, "ann", "a", "b")
    await store.mark("ann", Mark(MarkAs.READ, ids=("a", "b")))
    await passes(clock, 2)
    told = {"user_id": "ann", "notification_ids": ["a", "b"], "at": "2027-01-15T08:00:00.000000Z"}
    bodies = [msgspec.to_builtins(letter.body) for letter in receiver.taken]
    assert sorted(bodies, key=lambda body: str(body["type"])) == [
        {"type": "notifications.read", "timestamp": told["at"], "data": told},
        {"type": "notifications.seen", "timestamp": told["at"], "data": told},
    ]
