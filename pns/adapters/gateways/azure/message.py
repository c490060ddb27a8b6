"""A push in the form of its own network, as Azure Notification Hubs hands the push on.

Pure. The hub's own headers, which name the device, are in gateway.py.
https://learn.microsoft.com/rest/api/notificationhubs/direct-send
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pns.adapters.gateways.apns import message as apns_message
from pns.adapters.gateways.fcm import message as fcm_message
from pns.model.push import Push


class Message(NamedTuple):
    """`format`: Azure's name for the network. `headers`: the headers of the network itself."""

    format: str
    body: bytes
    headers: Mapping[str, str] = {}


def message(push: Push, now: int) -> Message:
    """The push for the hub; `now` in microseconds since 1970.

    Raises ValueError for a push that the network would never take. The error's text is the reason.
    """
    if push.device.keys.get("kind", "token") != "token":  # registered for the network's own gateway
        raise ValueError("the hub knows no installation ids: the app must register its token")
    if push.device.network == "fcm":
        return Message("fcmv1", msgspec.json.encode({"message": fcm_message.message(push, now)}))
    body = msgspec.json.encode(apns_message.payload(push))
    if len(body) > apns_message.MOST_BYTES:
        raise ValueError(f"{len(body)} bytes, and APNs takes {apns_message.MOST_BYTES}")
    return Message("apple", body, apns_message.headers(push, push.device.app, now))
