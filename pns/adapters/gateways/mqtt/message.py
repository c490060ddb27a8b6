"""A push as an MQTT device reads the push: JSON in the payload, and an expiry for the broker.

Pure. docs/push.md lists the members.
"""

from __future__ import annotations

import msgspec

from pns.model.push import MQTTControls, Push

MOST_BYTES = 4096


def payload(push: Push) -> bytes:
    if push.dismissed:
        return msgspec.json.encode(push.dismissal())
    told: dict[str, object] = {"id": push.notification_id}
    told |= msgspec.to_builtins(push.payload)
    told["badge"] = push.badge
    if push.category is not None:
        told["category"] = push.category
    if push.collapse_key is not None:
        told["collapse_key"] = push.collapse_key
    told["data"] = push.data(_controls(push).data)
    return msgspec.json.encode(told | push.control_fields())


def seconds_left(push: Push, now: int) -> int:
    """For how long the broker should keep the message. At least 1: Mosquitto takes 0 for "never"."""
    return max(1, push.seconds_left(now, _controls(push).ttl_seconds))


def _controls(push: Push) -> MQTTControls:
    return push.controls.mqtt or MQTTControls()
