"""What a Web Push message says, how it is encrypted, and its headers."""

from __future__ import annotations

import json
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush import message as webpush_message
from pns.adapters.gateways.webpush.message import MAX_TEXT, Unsendable, encrypted, headers, text
from pns.contracts.gateway import Outcome
from pns.model.device import Address
from pns.model.push import Cause, Push, PushControls, WebPushControls
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import device_at, gateway
from tests.harness.push_service import decrypted, unbase64url

NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000
DEVICE = device_at(Address("https://push.example/1"), FakeClock(NOW))

# RFC 8291, Appendix A.
RFC_TEXT = b"When I grow up, I want to be a watermelon"
RFC_SERVER_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RFC_BROWSER_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
RFC_KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
RFC_SALT = "DGv6ra1nlYgDCS1FRnbzlw"
RFC_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8"
    "wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def told(sent: Push) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(sent))
    return found


def headers_of(now: int = NOW, **fields: Any) -> dict[str, str]:
    return headers(push(DEVICE, **fields), now)


def webpush(**fields: Any) -> PushControls:
    return PushControls(webpush=WebPushControls(**fields))


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_says_all_that_is_known() -> None:
    sent = push(
        DEVICE,
        '{"title":"Order shipped","body":"Today","url":"/orders/1","icon":"/box.png"}',
        category="orders",
        collapse_key="order-1",
        controls=PushControls(data={"shared": 1}, sender="shop", webpush=WebPushControls(data={"order": 1})),
        cause=Cause(origin="EVENT", when=5, bucketID="b", objectID="o", type_="DATA_OBJECT_CREATED"),
    )
    assert told(sent) == {
        "id": "n-1",
        "title": "Order shipped",
        "body": "Today",
        "url": "/orders/1",
        "icon": "/box.png",
        "badge": 3,
        "category": "orders",
        "tag": "order-1",
        "data": {"order": 1},
        "origin": "EVENT",
        "sender": "shop",
        "when": 5,
        "bucketID": "b",
        "objectID": "o",
        "type": "DATA_OBJECT_CREATED",
    }


def test_what_is_empty_is_left_out_and_a_badge_of_nothing_is_not() -> None:
    assert told(push(DEVICE, "Ship ahoy", badge=0)) == {
        "id": "n-1",
        "body": "Ship ahoy",
        "badge": 0,
        "tag": "n-1",
        "origin": "EXPLICIT",
        "when": NOW // 1000,
    }


def test_the_limit_counts_bytes_and_is_exact() -> None:
    room = MAX_TEXT - len(text(push(DEVICE, "ä")))
    longest = push(DEVICE, "ä" + "x" * room)
    assert len(text(longest)) == MAX_TEXT
    assert len(encrypted(text(longest), RFC_KEYS)) == 4096
    with pytest.raises(Unsendable, match="the message has 3994 bytes; Web Push takes 3993"):
        text(push(DEVICE, "ä" + "x" * (room + 1)))
    with pytest.raises(Unsendable, match="3994 bytes"):
        text(push(DEVICE, "ää" + "x" * (room - 1)))


def test_nothing_over_the_limit_is_encrypted() -> None:
    with pytest.raises(Unsendable, match="the encrypted message has 4097 bytes"):
        encrypted(b"x" * (MAX_TEXT + 1), RFC_KEYS)


def test_word_of_what_was_seen() -> None:
    assert told(push(DEVICE, "", dismissed=("n-1", "n-2"), badge=7)) == {
        "dismissed": ["n-1", "n-2"],
        "badge": 7,
    }


# ── the encryption ────────────────────────────────────────────────────────────────────────────────────


def test_it_encrypts_as_the_rfc_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ec, "generate_private_key", lambda curve: p256.private_key(RFC_SERVER_KEY))
    monkeypatch.setattr(http_ece.os, "urandom", lambda count: unbase64url(RFC_SALT))
    assert p256.encode(encrypted(RFC_TEXT, RFC_KEYS)) == RFC_BODY


def test_what_decrypts_in_these_tests_decrypts_as_the_rfc_does() -> None:
    browser = p256.private_key(RFC_BROWSER_KEY)
    assert p256.encode(p256.point(browser.public_key())) == RFC_KEYS["p256dh"]
    assert decrypted(unbase64url(RFC_BODY), browser, unbase64url(RFC_KEYS["auth"])) == RFC_TEXT


def test_no_two_messages_share_a_key_or_a_salt() -> None:
    bodies = [encrypted(RFC_TEXT, RFC_KEYS) for _ in range(10)]
    assert len({body[:16] for body in bodies}) == 10
    assert len({body[21:86] for body in bodies}) == 10


@pytest.mark.parametrize(
    "keys", [{}, {"auth": RFC_KEYS["auth"]}, {**RFC_KEYS, "auth": "AAAA"}, {**RFC_KEYS, "p256dh": "B" * 87}]
)
def test_keys_that_cannot_be_used_are_said_without_them(keys: dict[str, str]) -> None:
    with pytest.raises(Unsendable, match=r"^the subscription has no usable keys$"):
        encrypted(RFC_TEXT, keys)


# ── the headers ───────────────────────────────────────────────────────────────────────────────────────


def test_headers_of_a_push_that_asks_for_nothing() -> None:
    assert headers_of() == {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": "86400",
        "Urgency": "normal",
    }


@pytest.mark.parametrize(
    ("now", "wanted", "ttl"),
    [
        (NOW, None, "86400"),
        (NOW, 60, "60"),
        (NOW, 0, "0"),
        (NOW, 100_000, "86400"),
        (NOW + 23 * HOUR, None, "3600"),
        (NOW + 23 * HOUR, 7200, "3600"),
        (NOW + 25 * HOUR, None, "0"),
    ],
)
def test_ttl_is_what_is_left_of_what_was_wanted(now: int, wanted: int | None, ttl: str) -> None:
    assert headers_of(now, controls=webpush(ttl_seconds=wanted))["TTL"] == ttl


def test_urgency() -> None:
    assert headers_of(controls=webpush(urgency="very-low"))["Urgency"] == "very-low"


@pytest.mark.parametrize(
    ("collapse_key", "topic"),
    [
        (None, None),
        ("order-1_A", "order-1_A"),
        ("x" * 32, "x" * 32),
        ("x" * 33, "EbpVo6fB7g-OuIZ9xApixnJA60peoSXu"),
        ("order 1", None),
        ("bücher", None),
        ("order\n", None),
    ],
)
def test_topic_is_the_collapse_key_or_its_hash(collapse_key: str | None, topic: str | None) -> None:
    found = headers_of(collapse_key=collapse_key).get("Topic")
    if collapse_key is None or topic:
        assert found == topic
    else:
        assert found not in (None, collapse_key)
        assert webpush_message._TOPIC.fullmatch(str(found))
    again = push(DEVICE, collapse_key=collapse_key, attempt=2, push_key=1)
    assert headers(again, NOW + HOUR).get("Topic") == found, "a retry must replace what was sent before"


def test_topics_of_different_keys_differ() -> None:
    topics = {headers_of(collapse_key=f"order {n}")["Topic"] for n in range(1000)}
    assert len(topics) == 1000


def test_the_network_s_own_topic_wins() -> None:
    assert headers_of(collapse_key="order-1", controls=webpush(topic="mine"))["Topic"] == "mine"


def test_word_of_what_was_seen_is_not_urgent_and_soon_worthless() -> None:
    found = headers_of(dismissed=("n-1",), controls=webpush(urgency="high"))
    assert (found["Urgency"], found["TTL"]) == ("low", "14400")
    assert headers_of(NOW + 23 * HOUR, dismissed=("n-1",))["TTL"] == "3600"
    assert "Topic" not in found, "one such word must not replace another"


async def test_safari_is_sent_nothing_that_it_would_not_show(clock: FakeClock) -> None:
    """It ends a subscription after a few of those."""
    address = Address("https://web.push.apple.com/QGvE", DEVICE.keys)
    async with gateway(clock) as started:
        receipt = await started.push(push(device_at(address, clock), "", dismissed=("n-1",)))
    assert receipt.outcome is Outcome.FAILED
    assert "Safari" in receipt.reason
