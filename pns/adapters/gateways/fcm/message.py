"""A push as a message of FCM's HTTP v1 API (projects.messages): the same form for every gateway to FCM.

Pure: no I/O, no clock. The sender of a message puts the target beside the message. Field names are from
Google's discovery document fcm.v1.json. Genero's apps, devices whose `platform` is "genero", get the form
that their client reads: data alone, under its own five names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pns.model.device import Device
from pns.model.push import FCMControls, FCMNotification, Push, check_fcm_data

MOST_BYTES = 4096
MOST_SECONDS = 2_419_200
"""Four weeks. FCM refuses a longer time to live."""
DISMISSAL_SECONDS = 4 * 3600
"""After this time, nobody minds a notification that was seen elsewhere."""

GENERO = "genero"

Message = dict[str, Any]


def message(push: Push, now: int) -> Message:
    """The message without its target; `now` in microseconds since 1970.

    Raises ValueError for a push that can never be sent: over `MOST_BYTES` of UTF-8 JSON, the target aside;
    data under a name that FCM keeps for itself; a dismissal for Genero's client. Its text is the reason.
    """
    made = _dismissal(push, now) if push.dismissed else _message(push, now)
    size = len(msgspec.json.encode(made))
    if size > MOST_BYTES:
        raise ValueError(f"{size} bytes, and FCM takes {MOST_BYTES}")
    return made


def target(device: Device) -> dict[str, str]:
    """The field of the message that names the device."""
    return {"fid" if device.keys.get("kind") == "fid" else "token": device.address}


def shape(made: Message) -> frozenset[str]:
    """Which fields a message has, whatever stands in them; names in `data` do not count."""
    return frozenset(_paths(made, ""))


def _paths(fields: Message, at: str) -> Iterator[str]:
    for name, value in fields.items():
        yield at + name
        if isinstance(value, dict) and name != "data":
            yield from _paths(value, f"{at}{name}.")


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────


def _message(push: Push, now: int) -> Message:
    controls = push.controls.fcm or FCMControls()
    if (flaw := check_fcm_data(push.data(controls.data))) is not None:
        raise ValueError(f"push data {flaw}")
    android = _android(push, controls, now)
    if push.device.platform == GENERO:
        return {"data": _genero_data(push, controls), "android": android}
    made: Message = {"data": _data(push, controls), "android": android}
    if controls.notification is not False and (shown := _shown(push, controls)):
        made["notification"] = shown
        android["notification"] = _drawn(push, controls)
    return made


def _dismissal(push: Push, now: int) -> Message:
    if push.device.platform == GENERO:
        raise ValueError("Genero's client would take this for a notification")
    return {
        "data": _texts(push.dismissal()),
        "android": {"priority": "NORMAL", "ttl": f"{push.seconds_left(now, DISMISSAL_SECONDS)}s"},
    }


def _data(push: Push, controls: FCMControls) -> dict[str, str]:
    """The application's data, and over it the fields of PNS. Unknown fields are left out."""
    payload = push.payload
    told = {
        "id": push.notification_id,
        "title": payload.title,
        "body": payload.body,
        "url": payload.url,
        "icon": payload.icon,
        "badge": str(push.badge),
        **_texts(push.control_fields()),
    }
    return {**_texts(push.data(controls.data)), **_filled(told)}


def _genero_data(push: Push, controls: FCMControls) -> dict[str, str]:
    shown = _shown(push, controls)
    other = {**push.data(controls.data), **_filled({"url": push.payload.url})}
    return {
        "id": push.notification_id,
        "title": shown.get("title", ""),
        "content": shown.get("body", ""),
        "icon": "genero_notification",
        "other_info": _json(other) if other else "",
    }


def _shown(push: Push, controls: FCMControls) -> dict[str, str]:
    """The text for people, on every platform that FCM reaches; empty for a push without text."""
    own, payload = controls.notification or FCMNotification(), push.payload
    title = payload.title if own.title is None else own.title
    body = payload.body if own.body is None else own.body
    return _filled({"title": title, "body": body})


def _drawn(push: Push, controls: FCMControls) -> dict[str, str]:
    """Android's form. The tag lets a notification replace the older notification on the screen, too."""
    own = controls.notification or FCMNotification()
    return _filled(
        {
            "icon": own.icon,
            "image": own.image,
            "sound": own.sound,
            "tag": own.tag or _collapse_key(push, controls) or push.notification_id,
            "color": own.color,
            "clickAction": own.click_action,
            "channelId": own.channel_id,
        }
    )


def _android(push: Push, controls: FCMControls, now: int) -> Message:
    wanted = MOST_SECONDS if controls.ttl_seconds is None else controls.ttl_seconds
    return _filled(
        {
            "priority": (controls.priority or "high").upper(),
            "ttl": f"{push.seconds_left(now, wanted)}s",
            "collapseKey": _collapse_key(push, controls),
            "restrictedPackageName": controls.restricted_package_name,
            "directBootOk": controls.direct_boot_ok,
        }
    )


def _collapse_key(push: Push, controls: FCMControls) -> str | None:
    return controls.collapse_key or push.collapse_key


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without None, false and empty texts."""
    return {name: value for name, value in fields.items() if value}


def _texts(fields: Mapping[str, object]) -> dict[str, str]:
    """FCM's data is text alone; other values become their JSON."""
    return {name: value if isinstance(value, str) else _json(value) for name, value in fields.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
