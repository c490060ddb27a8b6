"""The conversation, state by state, without a socket, a store or a clock."""

from __future__ import annotations

import json

import pytest

from pns.live.conversation import (
    BURST,
    STRIKES,
    Close,
    Conversation,
    FindPlace,
    MarkSeen,
    MarkShown,
    Phase,
    ReadSeen,
    ReadUnseen,
    Send,
)
from pns.model.messages import CloseCode
from pns.model.notification import Page, StoredNotification
from pns.settings import LimitsSettings

LIMITS = LimitsSettings(page_size=10, requests_per_second=5)


def stored(seq: int, *, seen: bool = False) -> StoredNotification:
    return StoredNotification(seq, f"n{seq}", "data", 1, 2 if seen else None, None, None, None)


def page(*seqs: int, user_key: int = 7, seen: bool = False) -> Page:
    return Page(user_key, tuple(stored(seq, seen=seen) for seq in seqs))


def ask(conversation: Conversation, message: object, now: float = 0.0) -> object:
    text = message if isinstance(message, str) else json.dumps(message)
    return conversation.receive(text, now=now)


def say_seen(conversation: Conversation, up_to: str) -> MarkShown:
    """The device has shown all up to this one, and it is marked."""
    effect = ask(conversation, {"notificationDataSeen": {"upTo": up_to}})
    assert isinstance(effect, MarkShown)
    conversation.shown(effect)
    return effect


def body(effect: object) -> dict[str, object]:
    assert isinstance(effect, Send)
    decoded: dict[str, object] = json.loads(effect.text)
    return decoded


def error_code(effect: object) -> str:
    error = body(effect)["error"]
    assert isinstance(error, dict)
    return str(error["code"])


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(LIMITS, now=0.0)


@pytest.mark.parametrize(
    "message",
    [
        "unseenNotificationDataRequest",
        '"unseenNotificationDataRequest"',
        {"unseenNotificationDataRequest": None},
        {"unseenNotificationDataRequest": True},
        {"unseenNotificationDataRequest": {}},
        {"unseenNotificationDataRequest": {"ack": False}},
    ],
)
def test_all_forms_of_asking_for_the_unseen(conversation: Conversation, message: object) -> None:
    assert ask(conversation, message) == ReadUnseen(10)
    answer = conversation.answer(page(1, 2))
    assert [item["notification_id"] for item in body(answer)["newNotificationData"]] == ["n1", "n2"]  # type: ignore[attr-defined]
    assert conversation.phase is Phase.HANDED, "nothing is marked before it was handed over"
    assert conversation.handed_over() == MarkSeen(7, (1, 2))
    assert conversation.handed_over() is None


def test_an_empty_page_marks_nothing(conversation: Conversation) -> None:
    ask(conversation, "unseenNotificationDataRequest")
    assert body(conversation.answer(Page(0, ()))) == {"newNotificationData": []}
    assert conversation.handed_over() is None


@pytest.mark.parametrize(("asked", "given"), [(3, 3), (10, 10), (10**30, 10)])
def test_limits_are_cut_to_the_page_size(conversation: Conversation, asked: int, given: int) -> None:
    assert ask(conversation, {"unseenNotificationDataRequest": {"limit": asked}}) == ReadUnseen(given)


def test_with_ack_nothing_is_seen_until_the_device_says_so(conversation: Conversation) -> None:
    ask(conversation, {"unseenNotificationDataRequest": {"ack": True}})
    conversation.answer(page(1, 2, 3))
    assert conversation.handed_over() is None
    assert say_seen(conversation, "n2") == MarkShown(7, 2, (1, 2))
    assert say_seen(conversation, "n2") == MarkShown(7, 2, (2,)), "may be repeated"
    assert say_seen(conversation, "n3") == MarkShown(7, 3, (2, 3))
    assert ask(conversation, {"notificationDataSeen": {"upTo": "n1"}}) == FindPlace("n1")
    assert conversation.phase is Phase.ASKED
    assert error_code(conversation.fail("unknown_notification", "gone")) == "unknown_notification"
    assert conversation.phase is Phase.OPEN


def test_only_what_was_sent_on_this_connection_can_be_said_to_be_seen(conversation: Conversation) -> None:
    assert error_code(ask(conversation, {"notificationDataSeen": {"upTo": "n1"}})) == "unknown_notification"


def test_what_is_remembered_for_ack_stays_bounded(conversation: Conversation) -> None:
    for first in range(1, 400, 3):
        ask(conversation, {"unseenNotificationDataRequest": {"ack": True}}, now=float(first))
        conversation.answer(page(*range(first, first + 10)))
        assert conversation._sent is not None
        assert len(conversation._sent._places) <= 2 * LIMITS.page_size
        assert len(conversation._sent._ends) == 1


def test_another_incarnation_of_the_user_forgets_what_was_sent(conversation: Conversation) -> None:
    ask(conversation, {"unseenNotificationDataRequest": {"ack": True}})
    conversation.answer(page(5))
    ask(conversation, {"unseenNotificationDataRequest": {"ack": True}})
    conversation.answer(page(1, user_key=8))
    assert say_seen(conversation, "n1") == MarkShown(8, 1, (1,))


def test_seen_requests_become_cursors(conversation: Conversation) -> None:
    effect = ask(conversation, {"seenNotificationsRequest": {"before": "", "limit": 4}})
    assert isinstance(effect, ReadSeen)
    assert (effect.cursor.before, effect.cursor.after, effect.cursor.limit) == ("", "", 4)
    assert "seen_date" in str(body(conversation.answer(page(1, seen=True))))
    assert conversation.handed_over() is None, "reading what is seen marks nothing"
    effect = ask(conversation, {"seenNotificationsRequest": {"receivedAfter": "1970-01-01T00:00:01+00:00"}})
    assert isinstance(effect, ReadSeen)
    assert effect.cursor.received_after == 1_000_000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"unseenNotificationDataRequest": NaN}', "bad_json"),
        ("unseennotificationdatarequest", "bad_json"),
        ("3", "unknown_message"),
        ("[]", "unknown_message"),
        ("{}", "unknown_message"),
        ('{"hello": 1}', "unknown_message"),
        ('{"unseenNotificationDataRequest": {}, "seenNotificationsRequest": {}}', "unknown_message"),
        ('{"unseenNotificationDataRequest": false}', "bad_request"),
        ('{"unseenNotificationDataRequest": {"limit": 0}}', "bad_request"),
        ('{"unseenNotificationDataRequest": {"limit": true}}', "bad_request"),
        ('{"unseenNotificationDataRequest": {"limit": 1.5}}', "bad_request"),
        ('{"unseenNotificationDataRequest": {"ackk": true}}', "bad_request"),
        ('{"seenNotificationsRequest": null}', "bad_request"),
        ('{"seenNotificationsRequest": {"after": 3}}', "bad_request"),
        ('{"seenNotificationsRequest": {"after": "a", "before": "b"}}', "bad_request"),
        ('{"seenNotificationsRequest": {"receivedAfter": "yesterday"}}', "bad_request"),
        ('{"seenNotificationsRequest": {"receivedAfter": "2026-11-21T19:31:00"}}', "bad_request"),
        ('{"seenNotificationsRequest": {"limit": -1}}', "bad_request"),
        ('{"notificationDataSeen": {}}', "bad_request"),
        ('{"notificationDataSeen": {"upTo": null}}', "bad_request"),
    ],
)
def test_nonsense_is_named_and_the_conversation_goes_on(
    conversation: Conversation, message: str, code: str
) -> None:
    assert error_code(ask(conversation, message)) == code
    assert conversation.phase is Phase.OPEN
    assert isinstance(ask(conversation, "unseenNotificationDataRequest"), ReadUnseen)


def test_a_failed_request_gets_one_error_and_the_next_is_served(conversation: Conversation) -> None:
    ask(conversation, "unseenNotificationDataRequest")
    assert error_code(conversation.fail("unavailable", "away")) == "unavailable"
    assert isinstance(ask(conversation, "unseenNotificationDataRequest"), ReadUnseen)


def test_too_many_requests_are_refused_then_end_the_connection(conversation: Conversation) -> None:
    for _ in range(int(LIMITS.requests_per_second * BURST)):
        assert error_code(ask(conversation, "x")) == "bad_json"
    for _ in range(STRIKES - 1):
        assert error_code(ask(conversation, "x")) == "rate_limited"
    assert ask(conversation, "x") == Close(CloseCode.TOO_MANY_REQUESTS)


def test_the_bucket_refills_and_strikes_are_forgotten(conversation: Conversation) -> None:
    for _ in range(int(LIMITS.requests_per_second * BURST) + STRIKES - 1):
        ask(conversation, "x")
    assert error_code(ask(conversation, "x", now=1.0)) == "bad_json"
    for _ in range(int(LIMITS.requests_per_second) - 1):
        assert error_code(ask(conversation, "x", now=1.0)) == "bad_json"
    for _ in range(STRIKES - 1):
        assert error_code(ask(conversation, "x", now=1.0)) == "rate_limited"
