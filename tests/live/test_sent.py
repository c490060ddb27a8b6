"""What was sent with `ack` is marked: all of it and nothing else, whatever was asked; in bounded memory."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pns import PNS, Notification, Settings
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Place
from pns.errors import StoreUnavailable
from pns.live import sent as module
from pns.live.conversation import Conversation, FindPlace, MarkShown, Send
from pns.live.sent import Sent, Stretch
from pns.model.notification import Page, StoredNotification
from pns.settings import LimitsSettings
from pns.testing import Device, temporary_pns

KEY = 7
LIMITS = LimitsSettings(page_size=2)


def page(*seqs: int, user_key: int = KEY) -> Page:
    return Page(
        user_key, tuple(StoredNotification(seq, f"n{seq}", "x", 1, None, None, None, None) for seq in seqs)
    )


class Talk:
    """A conversation with pages of two, and the inbox behind it as a device's messages change it."""

    def __init__(self) -> None:
        self.conversation = Conversation(LIMITS, now=0.0)
        self.category: dict[int, str] = {}
        self.unseen: set[int] = set()
        self.sent: set[int] = set()
        self.now = 0.0

    def ask(self, message: object) -> object:
        self.now += 1
        return self.conversation.receive(json.dumps(message), now=self.now)

    def come(self, category: str) -> int:
        seq = len(self.category) + 1
        self.category[seq] = category
        self.unseen.add(seq)
        return seq

    def show(self, category: str | None = None, limit: int = 2) -> list[int]:
        """The device asks for the oldest, with `ack`."""
        asked = {"ack": True, "limit": limit} | ({} if category is None else {"category": category})
        effect = self.ask({"unseenNotificationDataRequest": asked})
        assert not isinstance(effect, Send), effect.text
        oldest = [n for n in sorted(self.unseen) if category in (None, self.category[n])][:limit]
        self.conversation.answer(page(*oldest))
        self.sent.update(oldest)
        return oldest

    def say(self, seq: int, *, kept: bool = True) -> str | None:
        """The device has shown all up to `seq`; returns the code of the error."""
        effect = self.ask({"notificationDataSeen": {"upTo": f"n{seq}"}})
        if isinstance(effect, FindPlace):
            if kept:
                effect = self.conversation.placed(Place(KEY, seq))
            else:
                effect = self.conversation.fail("unknown_notification", "gone")
        if isinstance(effect, Send):
            return str(json.loads(effect.text)["error"]["code"])
        assert isinstance(effect, MarkShown)
        self.unseen -= self.named(effect)
        self.conversation.shown(effect)
        return None

    def named(self, effect: MarkShown) -> set[int]:
        """The unseen that `effect` marks."""
        return {
            seq
            for seq in self.unseen
            if seq in effect.seqs
            or any(seq <= last and name in (None, self.category[seq]) for name, last in effect.stretches)
        }


def test_pages_of_many_categories_are_all_marked() -> None:
    talk = Talk()
    for category in "aabbccdd":
        talk.come(category)
    assert [talk.show(category) for category in "abc"] == [[1, 2], [3, 4], [5, 6]]
    assert talk.say(6) is None
    assert talk.unseen == {7, 8}


def test_an_early_page_is_marked_when_its_turn_comes() -> None:
    talk = Talk()
    for category in "ababacacac":
        talk.come(category)
    assert [talk.show(category) for category in "abc"] == [[1, 3], [2, 4], [6, 8]]
    assert talk.say(1) is None, "its id made room for those of the later pages"
    assert talk.unseen == {2, 3, 4, 5, 6, 7, 8, 9, 10}
    assert talk.say(3) is None
    assert talk.unseen == {4, 5, 6, 7, 8, 9, 10}
    assert talk.say(8) is None
    assert talk.unseen == {5, 7, 9, 10}


def test_a_smaller_page_after_a_larger_one_forgets_nothing() -> None:
    talk = Talk()
    for category in "ababacac":
        talk.come(category)
    for category in "abc":
        talk.show(category)
    assert talk.show("a", limit=1) == [1]
    assert talk.show(limit=1) == [1]
    assert talk.say(8) is None
    assert talk.unseen == {5, 7}


def test_an_older_place_that_is_sent_later_is_marked_too() -> None:
    """The named one was said to be seen before."""
    talk = Talk()
    for category in "baa":
        talk.come(category)
    assert talk.show("a") == [2, 3]
    assert talk.say(3) is None
    assert talk.show("b") == [1]
    assert talk.say(2) is None
    assert talk.unseen == set()


def test_one_that_was_never_sent_says_nothing() -> None:
    talk = Talk()
    for category in "aba":
        talk.come(category)
    assert talk.show("a") == [1, 3]
    assert talk.say(2) is None
    assert talk.unseen == {1, 2, 3}


def test_what_was_seen_elsewhere_meanwhile_is_no_error() -> None:
    talk = Talk()
    talk.come("a"), talk.come("a")
    assert talk.show() == [1, 2]
    talk.unseen.clear()
    talk.come("a")
    assert talk.show() == [3]
    assert talk.say(2) is None
    assert talk.unseen == {3}
    for _ in range(3):
        talk.unseen.clear()
        talk.come("a"), talk.come("a")
        talk.show()
    assert talk.say(2) is None, "many pages later, too"
    assert talk.unseen == {8, 9}


def test_what_is_not_kept_is_an_error_only_once_it_is_forgotten() -> None:
    talk = Talk()
    for _ in range(6):
        talk.come("a")
    talk.show()
    talk.unseen.remove(2)  # withdrawn
    assert talk.say(2, kept=False) is None
    assert talk.unseen == {3, 4, 5, 6}
    talk.show(), talk.say(4), talk.show()
    assert talk.say(2, kept=False) == "unknown_notification"


def test_what_came_later_than_all_that_was_sent_is_an_error() -> None:
    talk = Talk()
    talk.come("a"), talk.come("a"), talk.come("a")
    assert talk.show() == [1, 2]
    assert talk.say(3) == "unknown_notification"
    assert talk.unseen == {1, 2, 3}


def test_a_place_of_another_incarnation_is_an_error() -> None:
    talk = Talk()
    talk.come("a"), talk.come("a")
    talk.show()
    assert isinstance(talk.ask({"notificationDataSeen": {"upTo": "other"}}), FindPlace)
    effect = talk.conversation.placed(Place(KEY + 1, 1))
    assert isinstance(effect, Send)
    assert "unknown_notification" in effect.text


def test_what_could_not_be_marked_may_be_said_again() -> None:
    talk = Talk()
    for category in "aabbcc":
        talk.come(category)
    for category in "abc":
        talk.show(category)
    say = {"notificationDataSeen": {"upTo": "n6"}}
    first = talk.ask(say)
    assert isinstance(first, MarkShown)
    assert talk.named(first) == {1, 2, 3, 4, 5, 6}
    assert talk.ask(say) == first, "nothing said that it was marked"


@pytest.mark.parametrize("seed", range(100))
def test_exactly_what_was_sent_is_marked(seed: int) -> None:
    """Whatever the pages were: all that was sent up to the one that is named, and nothing else."""
    chance, talk = random.Random(seed), Talk()
    weights = [30, 50, chance.choice([3, 12, 30]), 8]
    for _ in range(150):
        act = chance.choices(["come", "show", "elsewhere", "say"], weights)[0]
        if act == "come":
            talk.come(chance.choice("abc"))
        elif act == "show":
            talk.show(chance.choice([None, *"abc"]), limit=chance.choice([1, 2]))
        elif act == "elsewhere" and talk.unseen:
            talk.unseen.remove(chance.choice(sorted(talk.unseen)))
        elif act == "say" and talk.sent:
            up_to = chance.choice(sorted(talk.sent)[-15:])
            left = {seq for seq in talk.unseen if seq > up_to or seq not in talk.sent}
            assert talk.say(up_to) is None
            assert talk.unseen == left


def test_the_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STRETCHES", 5)
    talk = Talk()
    for n in range(12):
        talk.come(f"c{n}")
    for n in range(5):
        assert talk.show(f"c{n}") == [n + 1]
        assert talk.show(f"c{n}") == [n + 1], "the same again takes no room"
    sent = talk.conversation._sent
    assert sent is not None
    assert (len(sent._ends), len(sent._places)) == (5, 4)
    more = {"unseenNotificationDataRequest": {"ack": True, "category": "c5"}}
    refused = talk.ask(more)
    assert isinstance(refused, Send)
    assert json.loads(refused.text)["error"]["code"] == "bad_request"
    assert "notificationDataSeen" in refused.text
    assert talk.say(3) is None
    assert talk.show("c5") == [6], "there is room again"
    assert talk.show() == [4, 5]
    assert len(sent._ends) == 2, "a page of all takes the place of what it covers"
    talk.unseen.clear()
    assert talk.show("c5") == []
    assert talk.show() == []
    assert sent._ends == {}, "nothing is unseen"


def test_what_was_shown_is_given_back() -> None:
    sent = Sent(KEY, page_size=1000)
    sent.add(page(*range(1, 1001)), None)
    sent.shown(1000)
    assert sent.place("n1000") == 1000, "it may be said again"
    assert sys.getsizeof(sent._places) + sys.getsizeof(sent._ends) < 1000


def test_a_page_of_all_needs_no_stretch() -> None:
    """One write marks what an ordinary device shows, again after its pages of many categories are shown."""
    sent = Sent(KEY, page_size=2)
    for place, category in enumerate("abcdef", start=-5):
        sent.add(page(place + 100), category)
    assert sent.places(100) is None
    sent.shown(100)
    assert sent.places(100) == (100,)
    sent = Sent(KEY, page_size=2)
    for first in range(1, 9):
        sent.add(page(first, first + 1), None)
    assert sent.places(9) == (6, 7, 8, 9)
    assert sent.stretches(9) == (Stretch(None, 9),)


# ── on a connection ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def pns() -> AsyncIterator[PNS]:
    """With pages of two."""
    async with temporary_pns(user=lambda request: "ann", settings=Settings(limits=LIMITS)) as pns:
        yield pns


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["notification_id"] for item in items]


async def put(pns: PNS, **category_of: str) -> None:
    await pns.notify("ann", [Notification("x", id, category=name) for id, name in category_of.items()])


async def count(pns: PNS) -> int:
    return (await pns.user("ann")).unseen


async def test_the_last_of_many_categories_marks_them_all(pns: PNS) -> None:
    await put(pns, m1="a", m2="a", m3="b", m4="b", m5="c", m6="c", m7="a")
    async with Device.connect(pns) as phone:
        for category, expected in (("a", ["m1", "m2"]), ("b", ["m3", "m4"]), ("c", ["m5", "m6"])):
            assert ids(await phone.unseen(ack=True, category=category)) == expected
        await phone.send({"notificationDataSeen": {"upTo": "m6"}})
        await phone.count_is(1)
        assert ids(await phone.unseen(ack=True)) == ["m7"]


async def test_the_first_of_many_categories_marks_its_own(pns: PNS) -> None:
    await put(pns, m1="a", m2="b", m3="a", m4="b", m5="c", m6="c")
    async with Device.connect(pns) as phone:
        for category in "abc":
            await phone.unseen(ack=True, category=category)
        await phone.send({"notificationDataSeen": {"upTo": "m3"}})
        await phone.count_is(3)
        assert ids(await phone.unseen(ack=True)) == ["m4", "m5"]


async def test_one_that_another_device_saw_is_no_error(pns: PNS) -> None:
    await put(pns, n1="a", n2="a")
    async with Device.connect(pns) as phone:
        assert ids(await phone.unseen(ack=True)) == ["n1", "n2"]
        for later in ("n3", "n4", "n5"):
            await pns.seen("ann")
            await put(pns, **{later: "a"})
            assert ids(await phone.unseen(ack=True)) == [later]
            for shown in ("n1", "n2"):
                await phone.send({"notificationDataSeen": {"upTo": shown}})
                # The error would come before this answer.
                assert (await phone.ask_counts())["unseen"] == 1


async def test_one_that_is_gone_or_was_not_sent_is_an_error(pns: PNS) -> None:
    await put(pns, n1="a", n2="a", n3="a", n4="a")
    async with Device.connect(pns) as phone:
        for _ in range(2):
            items = await phone.unseen(ack=True)
            await phone.send({"notificationDataSeen": {"upTo": items[-1]["notification_id"]}})
        await phone.count_is(0)
        await put(pns, n5="a")
        await pns.withdraw("ann", "n1")
        for id, remedy in (("n1", "the next older"), ("n5", "sent on this connection")):
            error = (await phone.ask({"notificationDataSeen": {"upTo": id}}))["error"]
            assert error["code"] == "unknown_notification"
            assert remedy in error["message"]
        assert await count(pns) == 1


async def test_a_store_that_is_away_loses_nothing(pns: PNS, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(pns, m1="a", m2="a", m3="b", m4="b", m5="c", m6="c")
    async with Device.connect(pns) as phone:
        for category in "abc":
            await phone.unseen(ack=True, category=category)
        for id, method in (("m6", "mark"), ("m2", "place")):
            with monkeypatch.context() as away:
                away.setattr(SQLiteStore, method, is_away)
                error = (await phone.ask({"notificationDataSeen": {"upTo": id}}))["error"]
            assert error["code"] == "unavailable"
        assert await count(pns) == 6
        await phone.send({"notificationDataSeen": {"upTo": "m6"}})
        await phone.count_is(0)


async def is_away(*arguments: object, **options: object) -> None:
    raise StoreUnavailable
