"""The validator of requests to FCM finds what it is there for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.gateways.discovery import document, faults, path_faults

WHOLE: dict[str, Any] = {
    "message": {
        "token": "t",
        "data": {"id": "n-1"},
        "notification": {"title": "Order shipped"},
        "android": {
            "priority": "HIGH",
            "ttl": "3600s",
            "directBootOk": True,
            "notification": {"tag": "n-1", "notificationCount": 3, "bodyLocArgs": ["a"]},
        },
        "webpush": {"notification": {"anything": [1, {"goes": None}]}},
    }
}


def test_what_google_takes_has_no_faults() -> None:
    assert document()["name"] == "fcm"
    assert faults(WHOLE) == []


@pytest.mark.parametrize(
    ("at", "value", "fault"),
    [
        ("colour", "red", "body.message.colour: unknown"),
        ("android.collapse_key", "k", "body.message.android.collapse_key: unknown"),
        ("android.notification.click_action", "k", "body.message.android.notification.click_action: unknown"),
        ("data.count", 3, "body.message.data.count: int, not string"),
        ("data.count", None, "body.message.data.count: NoneType, not string"),
        ("data", [], "body.message.data: list, not object"),
        ("android.priority", "high", "body.message.android.priority: 'high' is not allowed"),
        ("android.ttl", "3600", "body.message.android.ttl: '3600' is not allowed"),
        ("android.ttl", "-1s", "body.message.android.ttl: '-1s' is not allowed"),
        ("android.ttl", 3600, "body.message.android.ttl: int, not string"),
        ("android.directBootOk", "true", "body.message.android.directBootOk: str, not boolean"),
        (
            "android.notification.notificationCount",
            2**31,
            "body.message.android.notification.notificationCount: 2147483648 is not allowed",
        ),
        (
            "android.notification.notificationCount",
            True,
            "body.message.android.notification.notificationCount: bool, not integer",
        ),
        (
            "android.notification.bodyLocArgs",
            [1],
            "body.message.android.notification.bodyLocArgs[0]: int, not string",
        ),
        (
            "android.notification.eventTime",
            "today",
            "body.message.android.notification.eventTime: 'today' is not allowed",
        ),
        ("name", "projects/p/messages/1", "body.message.name: output only"),
        ("fid", "f", "body.message: there must be one target"),
    ],
)
def test_every_fault_is_found(at: str, value: object, fault: str) -> None:
    assert faults(changed(WHOLE, f"message.{at}", value)) == [fault]


def test_a_body_that_is_no_request() -> None:
    no_target = "body.message: there must be one target"
    assert faults([]) == ["body: list, not object", no_target]
    assert faults({"message": {"data": {}}}) == [no_target]


@pytest.mark.parametrize(
    "path", ["/v1/projects//messages:send", "/v1/projects/a/b/messages:send", "/v1/projects/a/messages"]
)
def test_a_path_that_is_none(path: str) -> None:
    assert path_faults("/v1/projects/pns-test/messages:send") == []
    assert path_faults(path) != []


def changed(whole: dict[str, Any], at: str, value: object) -> dict[str, Any]:
    """`whole` with another value in one place."""
    name, _, rest = at.partition(".")
    return {**whole, name: changed(whole.get(name, {}), rest, value) if rest else value}
