"""What is said of a body that does not fit: the values and members that there are, whatever was sent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.errors import BadJSON, Invalid
from pns.inbox.given import converted
from pns.inbox.publications import Changed
from pns.model.device import NETWORKS, Registration
from pns.model.push import APNsControls, FCMControls
from pns.web.audience_schemas import CHANGE, TO_ALL
from pns.web.body import NotifyBodies, decode

NOTIFY: msgspec.json.Decoder[Any] = msgspec.json.Decoder(NotifyBodies)
REGISTRATION = msgspec.json.Decoder(Registration)

NO_MEMBER = "there is no such member here; "


def refusal(value: Any, decoder: msgspec.json.Decoder[Any]) -> tuple[str, str]:
    """Where and why `value` is refused."""
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(value).encode(), decoder)
    (only,) = refused.value.errors
    return only


def pushed(**push: Any) -> dict[str, Any]:
    return {"user_id": "42", "notifications": [{"notification_data": "x", "push": push}]}


AT = "/notifications/0/push"


LOOKS_LIKE_AN_ERROR = ["x - at `$.token`", 'a"`\n', "unknown field `token`", "matching regex 'x'", "`$[...]"]


@pytest.mark.parametrize("wrong", ["gcm", "", 5, None, *LOOKS_LIKE_AN_ERROR])
def test_the_networks_that_there_are(wrong: Any) -> None:
    expected = ("/network", 'must be one of "fcm", "apns", "webpush", "mqtt"')
    assert refusal({"network": wrong}, REGISTRATION) == expected
    assert all(network in expected[1] for network in NETWORKS)


@pytest.mark.parametrize(
    ("push", "at", "allowed"),
    [
        ({"fcm": {"priority": "urgent"}}, "fcm/priority", 'one of "normal", "high"'),
        ({"apns": {"priority": 3}}, "apns/priority", "one of 1, 5, 10"),
        ({"apns": {"priority": "5"}}, "apns/priority", "one of 1, 5, 10"),
        ({"apns": {"push_type": "x"}}, "apns/push_type", 'one of "alert", "background"'),
        ({"webpush": {"urgency": "x"}}, "webpush/urgency", 'one of "very-low", "low", "normal", "high"'),
        ({"fcm": {"notification": True}}, "fcm/notification", "false or an object"),
        (
            {"apns": {"interruption_level": "x"}},
            "apns/interruption_level",
            'one of "passive", "active", "time-sensitive", "critical"',
        ),
    ],
)
def test_the_values_of_control_fields(push: Any, at: str, allowed: str) -> None:
    assert refusal(pushed(**push), NOTIFY) == (f"{AT}/{at}", f"must be {allowed}")
    assert refusal([pushed(), pushed(**push)], NOTIFY) == (f"/1{AT}/{at}", f"must be {allowed}")


def test_the_changes_of_a_bucket() -> None:
    at, message = refusal({"type": "GONE"}, CHANGE)
    assert at == "/type"
    assert message.startswith('must be one of "DATA_OBJECT_CREATED", ')
    assert message.endswith(', "BUCKET_DELETED"')
    with pytest.raises(Invalid, match="BUCKET_DELETED"):
        converted({"type": "GONE"}, Changed)


@pytest.mark.parametrize(
    ("value", "at", "remedy"),
    [
        ({"userId": "42", "notifications": []}, "/userId", "did you mean user_id?"),
        (pushed(fcm={"thread_id": "x"}), f"{AT}/fcm/thread_id", "it belongs in apns"),
        (pushed(thread_id="x"), f"{AT}/thread_id", "it belongs in apns"),
        (pushed(ttl_seconds=1), f"{AT}/ttl_seconds", "it belongs in fcm or apns or webpush or mqtt"),
        (pushed(fcm={"collapse_id": "x"}), f"{AT}/fcm/collapse_id", "it belongs in apns; did you mean"),
        (pushed(mqtt={"x": 1}), f"{AT}/mqtt/x", "there are enabled, data, ttl_seconds"),
        (pushed(apns={"alert": {"x": 1}}), f"{AT}/apns/alert/x", "there are title, subtitle, body"),
        (pushed(**{"a" * 100_000: 1}), f"{AT}/{'a' * 100_000}", "there are enabled, data, sender, fcm, "),
    ],
)
def test_the_members_that_there_are(value: Any, at: str, remedy: str) -> None:
    where, message = refusal(value, NOTIFY)
    assert where == at
    assert message.startswith(NO_MEMBER + remedy)


def test_a_member_of_a_registration_by_its_name_on_the_wire() -> None:
    subscription = {"endpoint": "https://x", "keys": {"p256dh": "a", "auth": "b"}, "expirationTime": "soon"}
    at, message = refusal({"network": "webpush", "subscription": subscription}, REGISTRATION)
    assert (at, message) == ("/subscription/expirationTime", "Expected `float | null`, got `str`")


def test_a_member_whose_name_looks_like_a_place() -> None:
    at, message = refusal({"network": "fcm", "a` - at `$.b": 1}, REGISTRATION)
    assert at == "/a` - at `$.b"
    assert message.startswith(NO_MEMBER + "there are network, token,")


def test_what_is_wrong_with_the_whole_body_has_no_place() -> None:
    with pytest.raises(Invalid) as refused:
        decode(b"[]", REGISTRATION)
    assert str(refused.value) == "Expected `object`, got `array`"
    assert refused.value.errors == [("", "Expected `object`, got `array`")]


NAMES = st.sampled_from(
    [
        *("user_id", "notifications", "notification_data", "push", "network", "type", "object_id", "data"),
        *("fcm", "apns", "webpush", "keys", "subscription", "a.b", "[0]", "$", "", "` - at `$.push"),
        *FCMControls.__struct_fields__,
        *APNsControls.__struct_fields__,
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | NAMES
BODIES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


@given(BODIES)
def test_nothing_that_is_sent_is_a_failure(value: Any) -> None:
    for decoder in (NOTIFY, REGISTRATION, TO_ALL, CHANGE):
        for body in (value, pushed(fcm=value, apns=value), {"type": value}):
            with suppress(Invalid, BadJSON):
                decode(json.dumps(body).encode(), decoder)


def test_every_value_that_can_be_counted_is_told() -> None:
    """So that a field with values of its own that is added later is no gap."""
    for kind, at in ((FCMControls, "fcm"), (APNsControls, "apns")):
        for field in msgspec.structs.fields(kind):
            if "Literal" in str(field.type):
                _, message = refusal(pushed(**{at: {field.encode_name: "?"}}), NOTIFY)
                assert message.startswith("must be "), field.name
                assert get_args(field.type)
