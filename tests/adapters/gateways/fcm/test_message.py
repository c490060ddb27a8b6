"""A push as FCM's message, held against Google's own description of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pns.adapters.gateways.fcm.message import message, shape, target
from pns.model.device import Device
from pns.model.push import Cause, FCMControls, FCMNotification, Push, PushControls, check_fcm_data
from pns.testing import FakeClock
from tests.adapters.gateways.discovery import faults
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.fcm import TOKEN, device

CLOCK = FakeClock()
NOW = CLOCK.now()
DEVICE = device(CLOCK)
GENERO = device(CLOCK, platform="genero")
DAY = 86_400


def made(one: Push | None = None, *, now: int = NOW) -> dict[str, Any]:
    """The message, found good by Google's description with its target."""
    one = one or push(DEVICE)
    found = message(one, now)
    assert (
        faults(msgspec.json.decode(msgspec.json.encode({"message": {**target(one.device), **found}}))) == []
    )
    return found


def controlled(to: Device = DEVICE, **fcm: Any) -> Push:
    return push(to, controls=PushControls(fcm=FCMControls(**fcm)))


# ── notifications ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_notification() -> None:
    assert made() == {
        "data": {
            "id": "n-1",
            "title": "Order shipped",
            "body": "Today",
            "url": "/orders/1",
            "badge": "3",
            "origin": "EXPLICIT",
            "when": str(NOW // 1000),
        },
        "notification": {"title": "Order shipped", "body": "Today"},
        "android": {"priority": "HIGH", "ttl": f"{DAY}s", "notification": {"tag": "n-1"}},
    }


def test_every_control_field_has_its_place() -> None:
    notification = FCMNotification(
        title="Sent!",
        body="Look",
        icon="parcel",
        image="https://example.com/p.png",
        sound="default",
        tag="order-1",
        color="#ff0000",
        click_action="OPEN_ORDER",
        channel_id="orders",
    )
    controls = FCMControls(
        data={"order": "1"},
        notification=notification,
        priority="normal",
        ttl_seconds=60,
        collapse_key="orders",
        restricted_package_name="com.example.shop",
        direct_boot_ok=True,
    )
    cause = Cause(
        origin="EVENT", topic="news", when=7, bucketID="b-1", objectID="o-1", type_="DATA_OBJECT_CREATED"
    )
    whole = PushControls(data={"shared": "no"}, sender="s-1", fcm=controls)
    found = made(push(DEVICE, controls=whole, cause=cause))
    assert found == {
        "data": {
            "order": "1",
            "id": "n-1",
            "title": "Order shipped",
            "body": "Today",
            "url": "/orders/1",
            "badge": "3",
            "origin": "EVENT",
            "topic": "news",
            "when": "7",
            "bucketID": "b-1",
            "objectID": "o-1",
            "type": "DATA_OBJECT_CREATED",
            "sender": "s-1",
        },
        "notification": {"title": "Sent!", "body": "Look"},
        "android": {
            "priority": "NORMAL",
            "ttl": "60s",
            "collapseKey": "orders",
            "restrictedPackageName": "com.example.shop",
            "directBootOk": True,
            "notification": {
                "icon": "parcel",
                "image": "https://example.com/p.png",
                "sound": "default",
                "tag": "order-1",
                "color": "#ff0000",
                "clickAction": "OPEN_ORDER",
                "channelId": "orders",
            },
        },
    }


def test_data_is_text() -> None:
    data: dict[str, Any] = {"text": "ä", "number": 7, "fraction": 1.5, "yes": True, "no": False, "empty": ""}
    found = made(push(DEVICE, controls=PushControls(data=data)))["data"]
    assert {name: found[name] for name in data} == {
        "text": "ä",
        "number": "7",
        "fraction": "1.5",
        "yes": "true",
        "no": "false",
        "empty": "",
    }


def test_what_pns_says_wins_over_the_applications_data() -> None:
    data = {"id": "mine", "badge": "99", "icon": "mine"}
    found = made(push(DEVICE, controls=PushControls(data=dict(data))))["data"]
    assert (found["id"], found["badge"]) == ("n-1", "3")
    assert found["icon"] == "mine", "PNS has nothing to say about it"


def test_a_plain_text_is_the_body() -> None:
    found = made(push(DEVICE, "Ship ahoy"))
    assert found["notification"] == {"body": "Ship ahoy"}
    assert found["data"]["body"] == "Ship ahoy"


@pytest.mark.parametrize("data", ['{"order": 7}', '{"title": "", "body": null}'])
def test_nothing_to_read_is_data_only(data: str) -> None:
    found = made(push(DEVICE, data))
    assert set(found) == {"data", "android"}
    assert "notification" not in found["android"]


def test_the_application_may_want_data_only() -> None:
    found = made(controlled(notification=False))
    assert set(found) == {"data", "android"}
    assert "notification" not in found["android"]
    assert found["data"]["title"] == "Order shipped"
    assert found["android"]["priority"] == "HIGH"


@pytest.mark.parametrize(
    ("fcm", "collapse_key", "tag"),
    [
        ({}, None, "n-1"),
        ({}, "order-1", "order-1"),
        ({"collapse_key": "orders"}, "order-1", "orders"),
        ({"notification": FCMNotification(tag="mine")}, "order-1", "mine"),
    ],
)
def test_a_replacement_replaces_on_the_screen(
    fcm: dict[str, Any], collapse_key: str | None, tag: str
) -> None:
    one = push(DEVICE, controls=PushControls(fcm=FCMControls(**fcm)), collapse_key=collapse_key)
    android = made(one)["android"]
    assert android["notification"]["tag"] == tag
    assert android.get("collapseKey") == (fcm.get("collapse_key") or collapse_key)


@pytest.mark.parametrize(
    ("left", "wanted", "ttl"),
    [
        (DAY, None, "86400s"),
        (DAY, 60, "60s"),
        (DAY, 0, "0s"),
        (30, 60, "30s"),
        (-5, None, "0s"),
        (60 * DAY, None, "2419200s"),
    ],
)
def test_the_time_to_live_is_what_is_left(left: int, wanted: int | None, ttl: str) -> None:
    controls = PushControls(fcm=FCMControls(ttl_seconds=wanted))
    found = made(push(DEVICE, controls=controls, expires_at=NOW + left * 1_000_000))
    assert found["android"]["ttl"] == ttl


@pytest.mark.parametrize(("kind", "field"), [("token", "token"), ("fid", "fid")])
def test_the_target_is_of_the_kind_that_was_registered(kind: str, field: str) -> None:
    assert target(device(CLOCK, keys={"kind": kind})) == {field: TOKEN}
    assert target(device(CLOCK, keys={})) == {"token": TOKEN}


# ── what was seen elsewhere ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("left", "ttl"), [(DAY, "14400s"), (60, "60s")])
def test_a_dismissal(left: int, ttl: str) -> None:
    one = push(
        DEVICE,
        "",
        notification_id="",
        dismissed=("n-1", "n-2"),
        badge=7,
        expires_at=NOW + left * 1_000_000,
    )
    assert made(one) == {
        "data": {"dismissed": '["n-1","n-2"]', "badge": "7"},
        "android": {"priority": "NORMAL", "ttl": ttl},
    }


def test_genero_hears_nothing_of_dismissals() -> None:
    with pytest.raises(ValueError, match="Genero"):
        message(push(GENERO, "", notification_id="", dismissed=("n-1",)), NOW)


# ── Genero ────────────────────────────────────────────────────────────────────────────────────────────────


def as_genero_reads_it(pushed: dict[str, Any]) -> tuple[str, str, str]:
    """Genero's client: id, text and the rest of what came through FCM; each must be a text."""
    data = pushed["data"]
    assert all(type(value) is str for value in data.values())
    return data["id"], data["content"], data["other_info"]


def test_genero_gets_exactly_its_own_names() -> None:
    one = push(GENERO, controls=PushControls(data={"order": 1}, sender="s-1"))
    found = made(one)
    other = found["data"]["other_info"]
    assert json.loads(other) == {"order": 1, "url": "/orders/1"}
    assert found == {
        "data": {
            "id": "n-1",
            "title": "Order shipped",
            "content": "Today",
            "icon": "genero_notification",
            "other_info": other,
        },
        "android": {"priority": "HIGH", "ttl": f"{DAY}s"},
    }
    assert as_genero_reads_it(found) == ("n-1", "Today", other)


def test_genero_without_anything_else() -> None:
    assert as_genero_reads_it(made(push(GENERO, "Ship ahoy"))) == ("n-1", "Ship ahoy", "")


def test_genero_reads_what_the_controls_say() -> None:
    words = FCMNotification(title="Sent!", body="Look")
    data = made(controlled(GENERO, notification=words, data={"a": "b"}))["data"]
    assert (data["title"], data["content"]) == ("Sent!", "Look")
    assert json.loads(data["other_info"]) == {"a": "b", "url": "/orders/1"}


# ── what FCM would refuse ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("to", [DEVICE, GENERO])
@pytest.mark.parametrize("letter", ["x", "ä", "€", "😀", '"'])
def test_the_limit_is_4096_bytes(to: Device, letter: str) -> None:
    def sized(count: int) -> Push:
        return push(to, f"{letter * count}", controls=PushControls(fcm=FCMControls(notification=False)))

    def size(count: int) -> int:
        return len(msgspec.json.encode(message(sized(count), NOW)))

    step = size(2) - size(1)
    most = 1 + (4096 - size(1)) // step
    assert 4096 - step < size(most) <= 4096
    with pytest.raises(ValueError, match=f"{size(1) + most * step} bytes"):
        message(sized(most + 1), NOW)


def test_exactly_4096_bytes_are_taken() -> None:
    def sized(count: int) -> Push:
        return controlled(notification=False, data={"x": "x" * count})

    room = 4096 - len(msgspec.json.encode(message(sized(0), NOW)))
    assert len(msgspec.json.encode(made(sized(room)))) == 4096
    with pytest.raises(ValueError, match="4097 bytes"):
        message(sized(room + 1), NOW)


RESERVED = [
    *("from", "message_type", "collapse_key", "priority", "ttl", "restricted_package_name", "notification"),
    *("fcm_options", "direct_boot_ok", "gcm", "gcm.", "gcm.x", "google.", "google.c.a.e"),
]


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("to", [DEVICE, GENERO])
def test_names_that_fcm_keeps_are_refused(name: str, to: Device) -> None:
    assert check_fcm_data({"fine": "x", name: "secret"}) is not None
    for controls in (
        PushControls(data={name: "secret"}),
        PushControls(fcm=FCMControls(data={name: "secret"})),
    ):
        with pytest.raises(ValueError, match="FCM keeps") as refused:
            message(push(to, controls=controls), NOW)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["From", "google", "gcmx", "googles.x", "x.google.", "id", "type", "data", ""]
)
def test_other_names_are_taken(name: str) -> None:
    assert check_fcm_data({name: 1}) is None
    made(push(DEVICE, controls=PushControls(data={name: 1})))


def test_own_names_are_none_that_fcm_keeps() -> None:
    cause = Cause(topic="t", sender="s", when=1, bucketID="b", objectID="o", type_="t")
    told = made(push(DEVICE, '{"title":"t","body":"b","url":"u","icon":"i"}', cause=cause))
    assert check_fcm_data(told["data"]) is None
    dismissal = push(DEVICE, "", notification_id="", dismissed=("n-1",))
    assert check_fcm_data(made(dismissal)["data"]) is None


# ── its shape ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shape_is_of_fields_not_of_values() -> None:
    one = shape(made())
    assert one == shape(made(push(DEVICE, '{"title":"Other","body":"words"}', badge=9)))
    assert one == shape(made(push(DEVICE, controls=PushControls(data={"more": 1}))))
    assert one != shape(made(controlled(priority="normal", collapse_key="k")))
    assert one != shape(made(controlled(notification=FCMNotification(color="#ff0000"))))
    assert one != shape(made(controlled(notification=False)))


# ── whatever an application sends ─────────────────────────────────────────────────────────────────────────

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=16)  # so that a whole message fits
KEYS = st.text("abcXYZ09_-.: ", min_size=1, max_size=20)
MAYBE = st.none() | TEXTS
SCALARS = (
    TEXTS
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
NOTIFICATIONS = st.builds(FCMNotification, **dict.fromkeys(FCMNotification.__struct_fields__, MAYBE))
CONTROLS = st.builds(
    FCMControls,
    data=st.none() | st.dictionaries(KEYS, TEXTS, max_size=5),
    notification=st.none() | st.just(False) | NOTIFICATIONS,
    priority=st.sampled_from([None, "normal", "high"]),
    ttl_seconds=st.none() | st.integers(0, 2_419_200),
    collapse_key=st.none() | KEYS,
    restricted_package_name=MAYBE,
    direct_boot_ok=st.booleans(),
)
PAYLOADS = TEXTS | st.dictionaries(
    st.sampled_from(["title", "body", "url", "icon", "other"]),
    SCALARS | st.none() | st.lists(SCALARS, max_size=2),
).map(json.dumps)
CAUSES = st.builds(
    Cause,
    origin=st.sampled_from(["EVENT", "EXPLICIT"]),
    when=st.none() | st.integers(0, 2**62),
    **dict.fromkeys(("topic", "sender", "bucketID", "objectID", "type_"), MAYBE),
)
PUSHES = st.builds(
    push,
    st.sampled_from([DEVICE, GENERO, device(CLOCK, keys={"kind": "fid"})]),
    PAYLOADS,
    controls=st.builds(
        PushControls,
        data=st.none() | st.dictionaries(KEYS, SCALARS, max_size=5),
        sender=MAYBE,
        fcm=st.none() | CONTROLS,
    ),
    cause=CAUSES,
    badge=st.integers(0, 2**31),
    collapse_key=st.none() | KEYS,
    expires_at=st.integers(NOW - 10**13, NOW + 10**13),
    dismissed=st.just(()) | st.lists(KEYS, max_size=5).map(tuple),
)


@given(PUSHES)
def test_whatever_is_made_google_takes(one: Push) -> None:
    assume(not (one.dismissed and one.device is GENERO))
    found = made(one)
    assert one.dismissed or found["data"]["id"] == one.notification_id
