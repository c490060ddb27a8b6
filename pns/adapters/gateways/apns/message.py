"""A push in Apple's form: the payload and the apns-* headers, the same for every gateway that ends at APNs.

Pure: no I/O, no clock, no credentials. Names and limits are those of Apple's pages "Generating a remote
notification" and "Sending notification requests to APNs". Genero's apps, devices whose `platform` is
"genero", get the form that their client reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from pns.model.push import APNsControls, Payload, Push
from pns.model.timestamp import SECOND

MOST_BYTES = 4096
"""Of a payload's UTF-8 JSON. APNs answers 413 to more."""

GENERO = "genero"

_MOST_COLLAPSE_ID = 64


def payload(push: Push) -> dict[str, Any]:
    """The JSON of a push. The fields of PNS replace the application's data of the same name."""
    if push.dismissed:
        return {"aps": {"content-available": 1, "badge": push.badge}, "dismissed": push.dismissed}
    controls = push.controls.apns or APNsControls()
    return _genero(push, controls) if push.device.platform == GENERO else _notification(push, controls)


def headers(push: Push, topic: str, now: int) -> dict[str, str]:
    """The apns-* headers of a push at `now`, microseconds since 1970. An empty `topic` is left out.

    `apns-id` and `apns-collapse-id` are the same at every attempt: a push that is sent twice replaces itself.
    """
    controls = push.controls.apns or APNsControls()
    push_type = "background" if push.dismissed else controls.push_type
    priority = 5 if push_type == "background" else controls.priority
    seconds = push.seconds_left(now, controls.ttl_seconds)
    found = {
        "apns-id": push.push_id,
        "apns-topic": topic,
        "apns-push-type": push_type,
        "apns-priority": priority and str(priority),
        "apns-expiration": str(now // SECOND + seconds) if seconds else "0",
        "apns-collapse-id": _header_safe(controls.collapse_id or push.collapse_key or push.notification_id),
    }
    return {name: value for name, value in found.items() if value}


def _notification(push: Push, controls: APNsControls) -> dict[str, Any]:
    return {
        **push.data(controls.data),
        **_given({"url": push.payload.url, "icon": push.payload.icon}),
        **push.control_fields(),
        "id": push.notification_id,
        "aps": _aps(push, controls),
    }


def _aps(push: Push, controls: APNsControls) -> dict[str, Any]:
    """A background push without alert, sound and badge: Apple takes no other."""
    background = controls.push_type == "background"
    sound = None if background else "default"
    return _given(
        {
            "alert": _alert(push, controls),
            "sound": sound if controls.sound is None else controls.sound,
            "badge": _badge(push, controls),
            "category": controls.category,
            "thread-id": controls.thread_id,
            "content-available": 1 if background or controls.content_available else None,
            "mutable-content": 1 if controls.mutable_content else None,
            "interruption-level": controls.interruption_level,
        }
    )


def _alert(push: Push, controls: APNsControls) -> str | dict[str, str]:
    """The controls' text, else the notification's. A single text stays a text."""
    if isinstance(controls.alert, str):
        return controls.alert
    said = push.payload if controls.push_type == "alert" else Payload()
    own = {} if controls.alert is None else msgspec.to_builtins(controls.alert)
    alert = _given({"title": said.title, "body": said.body, **own})
    return str(alert["body"]) if alert.keys() == {"body"} else alert


def _badge(push: Push, controls: APNsControls) -> int:
    return push.badge if controls.badge is None else controls.badge


def _genero(push: Push, controls: APNsControls) -> dict[str, Any]:
    alert = _alert(push, controls)
    other = {**push.data(controls.data), **_given({"url": push.payload.url})}
    return {
        "aps": {
            "alert": alert if isinstance(alert, str) else alert.get("title") or alert.get("body", ""),
            "sound": "default",
            "badge": _badge(push, controls),
            "content-available": 1,
        },
        "custom_data": {"other_info": msgspec.json.encode(other).decode() if other else ""},
        "id": push.notification_id,
    }


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty values; a badge of 0 stays."""
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _header_safe(key: str) -> str:
    """An apns-collapse-id has 64 bytes at most; a longer or stranger key is replaced by its digest.

    HTTP cuts spaces at the ends off, or refuses them (RFC 9110 §5.5).
    """
    fits = len(key) <= _MOST_COLLAPSE_ID and key.isascii() and key.isprintable() and key == key.strip()
    return key if fits else sha256(key.encode()).hexdigest()
