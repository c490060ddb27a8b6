"""A push in Apple's form, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from pns.adapters.gateways.apns.message import headers, payload
from pns.model.push import APNsAlert, APNsControls, Cause, Push, PushControls
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import device

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
DEVICE = device(NOW)
GENERO = device(NOW, platform="genero")


def pushed(data: str = '{"title":"Order shipped","body":"Today"}', **fields: Any) -> Push:
    return push(fields.pop("device", DEVICE), data, **fields)


def controlled(shared: dict[str, Any] | None = None, /, **controls: Any) -> Push:
    return pushed(controls=PushControls(data=shared, apns=APNsControls(**controls)))


def aps(push: Push) -> dict[str, Any]:
    found: dict[str, Any] = payload(push)["aps"]
    return found


# ── payload ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_payload() -> None:
    data = '{"title":"Order shipped","body":"Today","url":"/orders/1","icon":"/box.png"}'
    cause = Cause(origin="EVENT", bucketID="orders", objectID="o-1", type_="DATA_OBJECT_CREATED", when=5)
    controls = PushControls(data={"order": 1}, sender="anna")
    assert payload(pushed(data, cause=cause, controls=controls)) == {
        "aps": {"alert": {"title": "Order shipped", "body": "Today"}, "sound": "default", "badge": 3},
        "id": "n-1",
        "url": "/orders/1",
        "icon": "/box.png",
        "order": 1,
        "origin": "EVENT",
        "when": 5,
        "bucketID": "orders",
        "objectID": "o-1",
        "type": "DATA_OBJECT_CREATED",
        "sender": "anna",
    }


def test_control_fields_have_their_full_names() -> None:
    told = payload(pushed(cause=Cause(topic="news")))
    assert (told["origin"], told["topic"], told["when"]) == ("EXPLICIT", "news", NOW // 1000)


@pytest.mark.parametrize(
    ("data", "alert"),
    [
        ("Ship ahoy", "Ship ahoy"),
        ('{"body":"Today"}', "Today"),
        ('{"title":"Order shipped"}', {"title": "Order shipped"}),
        ('{"order":1}', None),
        ('{"body":"cut \\ud83d"}', "cut ?"),
        ('{"body":NaN}', '{"body":NaN}'),
        ("[1]", "[1]"),
    ],
)
def test_what_is_shown(data: str, alert: object) -> None:
    assert aps(pushed(data)).get("alert") == alert


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        ("Look", "Look"),
        (APNsAlert(subtitle="No. 1"), {"title": "Order shipped", "subtitle": "No. 1", "body": "Today"}),
        (APNsAlert(title="New", body="Now"), {"title": "New", "body": "Now"}),
        (APNsAlert(), {"title": "Order shipped", "body": "Today"}),
    ],
)
def test_controls_say_it_otherwise(alert: str | APNsAlert, shown: object) -> None:
    assert aps(controlled(alert=alert))["alert"] == shown


def test_every_control_has_its_key() -> None:
    found = aps(
        controlled(
            sound="bell.caf",
            category="ORDER",
            thread_id="orders",
            content_available=True,
            mutable_content=True,
            interruption_level="time-sensitive",
        )
    )
    assert found | {"alert": None} == {
        "alert": None,
        "sound": "bell.caf",
        "badge": 3,
        "category": "ORDER",
        "thread-id": "orders",
        "content-available": 1,
        "mutable-content": 1,
        "interruption-level": "time-sensitive",
    }


def test_silence_can_be_asked_for() -> None:
    assert "sound" not in aps(controlled(sound=""))


@pytest.mark.parametrize(("wanted", "badge"), [(None, 3), (0, 0), (9, 9)])
def test_the_badge(wanted: int | None, badge: int) -> None:
    assert aps(controlled(badge=wanted))["badge"] == badge


def test_a_badge_of_zero_is_sent() -> None:
    assert aps(pushed(badge=0))["badge"] == 0


def test_a_background_push_shows_nothing() -> None:
    told = payload(controlled({"order": 1}, push_type="background"))
    assert told["aps"] == {"badge": 3, "content-available": 1}
    assert (told["id"], told["order"]) == ("n-1", 1)


def test_own_data_stands_in_place_of_the_shared() -> None:
    assert payload(controlled({"shared": 1}, data={"own": 2}))["own"] == 2
    assert "shared" not in payload(controlled({"shared": 1}, data={}))


def test_what_pns_says_stands_over_the_applications_data() -> None:
    told = payload(controlled({"aps": "none", "id": "other", "origin": "mine", "more": 1.5}))
    assert told["aps"]["badge"] == 3
    assert (told["id"], told["origin"], told["more"]) == ("n-1", "EXPLICIT", 1.5)


def test_word_of_what_was_seen_elsewhere() -> None:
    dismissal = pushed("", notification_id="", dismissed=("n-1", "n-2"), badge=1)
    assert payload(dismissal) == {
        "aps": {"content-available": 1, "badge": 1},
        "dismissed": ("n-1", "n-2"),
    }
    assert headers(dismissal, "com.example.shop", NOW) == {
        "apns-id": dismissal.push_id,
        "apns-topic": "com.example.shop",
        "apns-push-type": "background",
        "apns-priority": "5",
        "apns-expiration": "1800086400",
    }


# ── Genero ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "shared", "text", "info"),
    [
        ('{"title":"Order shipped","body":"Today"}', None, "Order shipped", ""),
        ("Ship ahoy", None, "Ship ahoy", ""),
        ('{"body":"Today","url":"/orders/1"}', {"order": 1}, "Today", '{"order":1,"url":"/orders/1"}'),
        ('{"order":1}', None, "", ""),
    ],
)
def test_generos_own_form(data: str, shared: dict[str, Any] | None, text: str, info: str) -> None:
    told = payload(pushed(data, device=GENERO, controls=PushControls(data=shared)))
    assert told == {
        "aps": {"alert": text, "sound": "default", "badge": 3, "content-available": 1},
        "custom_data": {"other_info": info},
        "id": "n-1",
    }


# ── headers ───────────────────────────────────────────────────────────────────────────────────────────


def test_headers() -> None:
    one = pushed()
    assert headers(one, "com.example.shop", NOW) == {
        "apns-id": one.push_id,
        "apns-topic": "com.example.shop",
        "apns-push-type": "alert",
        "apns-expiration": "1800086400",
        "apns-collapse-id": "n-1",
    }
    assert "apns-topic" not in headers(one, "", NOW)


def test_every_control_has_its_header() -> None:
    found = headers(controlled(priority=1, ttl_seconds=600, collapse_id="orders"), "t", NOW)
    assert (found["apns-priority"], found["apns-expiration"], found["apns-collapse-id"]) == (
        "1",
        "1800000600",
        "orders",
    )


def test_a_background_push_never_hurries() -> None:
    found = headers(controlled(push_type="background", priority=10), "t", NOW)
    assert (found["apns-push-type"], found["apns-priority"]) == ("background", "5")


@pytest.mark.parametrize(
    ("left", "wanted", "expiration"),
    [
        (600, None, "1800000600"),
        (600, 3600, "1800000600"),
        (600, 60, "1800000060"),
        (600, 0, "0"),
        (-1, None, "0"),
    ],
)
def test_it_is_kept_as_long_as_it_is_worth_it(left: int, wanted: int | None, expiration: str) -> None:
    one = pushed(expires_at=NOW + left * SECOND, controls=PushControls(apns=APNsControls(ttl_seconds=wanted)))
    assert headers(one, "t", NOW)["apns-expiration"] == expiration


@pytest.mark.parametrize(
    ("wanted", "of_notification", "collapse_id"),
    [
        ("mine", "orders", "mine"),
        (None, "orders", "orders"),
        (None, None, "n-1"),
        ("x" * 64, None, "x" * 64),
        ("ä" * 64, None, "2dd2100f486e1bf01009b41718d38014db17695d8316ea4abc314da1b8322f37"),
        (" mine ", None, "4618c3d94a7037125a3f5d1010e4ae20ee72b7fe4734fa05d434691316c03b98"),
        ("line\nline", None, "d39a27a2975956fc2a81ac5510d88368193f7cceb9d23382417716c860390e95"),
    ],
)
def test_what_replaces_what(wanted: str | None, of_notification: str | None, collapse_id: str) -> None:
    one = pushed(collapse_key=of_notification, controls=PushControls(apns=APNsControls(collapse_id=wanted)))
    assert headers(one, "t", NOW)["apns-collapse-id"] == collapse_id


def test_a_repeat_carries_the_same_ids() -> None:
    first, again, other = pushed(), pushed(attempt=2), pushed(push_key=2)
    for name in ("apns-id", "apns-collapse-id"):
        assert headers(first, "t", NOW)[name] == headers(again, "t", NOW + SECOND)[name]
    assert headers(first, "t", NOW)["apns-id"] != headers(other, "t", NOW)["apns-id"]
