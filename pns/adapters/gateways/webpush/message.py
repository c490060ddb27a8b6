"""The parts of a Web Push message: its text, its encryption (RFC 8291), its headers (RFC 8030 §5).

Pure but for the key and the salt, which are new for each message. All sizes are bytes, and are checked before
sending: a text has a single record (RFC 8291 §4). encryption.py encrypts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush.declarative import declarative
from pns.adapters.gateways.webpush.encryption import SALT_BYTES, Reader, sealed
from pns.model.push import Push, WebPushControls

MAX_BODY = 4096
"""Every push service must take this much (RFC 8030 §7.2)."""
MAX_TEXT = 3993
"""The rest for the text: the header of aes128gcm takes 86 bytes, padding 1, the tag 16."""
AUTH_BYTES = 16
DISMISSAL_SECONDS = 4 * 3600
"""For how long a dismissal is worth sending."""

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_IN_BOTH = frozenset({"title", "body", "url", "icon", "tag"})


class Unsendable(ValueError):
    """This push can never be sent. The message says why, without any of its data."""


def text(push: Push) -> bytes:
    """The message for the page's service worker, as JSON. Raises Unsendable if the message is too long.

    A browser whose page reads the declarative form gets the form beside the worker's own. Where both are too
    long, the own members that the form has too are left out; where that is too long, the form.
    """
    if push.dismissed:
        return _fitting([push.dismissal()])
    own, origin = _message(push), push.device.keys.get("declarative")
    if not origin:
        return _fitting([own])
    form = declarative(push, origin)
    rest = {name: value for name, value in own.items() if name not in _IN_BOTH}
    return _fitting([{**own, **form}, {**rest, **form}, own])


def _fitting(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """The first message that is short enough. Raises Unsendable with the size of the last."""
    for message in messages:
        encoded = msgspec.json.encode(message)
        if len(encoded) <= MAX_TEXT:
            return encoded
    raise Unsendable(f"the message has {len(encoded)} bytes; Web Push takes {MAX_TEXT}")


def encrypted(text: bytes, keys: Mapping[str, str]) -> bytes:
    """The body: `text` for the owner of the subscription's `keys`, in one record. Raises Unsendable."""
    try:
        reader = Reader(p256.decode(keys["p256dh"], p256.POINT_BYTES), p256.decode(keys["auth"], AUTH_BYTES))
        key = ec.generate_private_key(p256.CURVE)
        body = sealed(text, reader, key=key, salt=os.urandom(SALT_BYTES), record=MAX_BODY)
    except (KeyError, ValueError):
        raise Unsendable("the subscription has no usable keys") from None
    if len(body) > MAX_BODY:
        raise Unsendable(f"the encrypted message has {len(body)} bytes; Web Push takes {MAX_BODY}")
    return body


def headers(push: Push, now: int) -> dict[str, str]:
    """The push service's orders. The same `Topic` at every attempt: a later push replaces the earlier."""
    controls = _controls(push)
    seconds, urgency = push.seconds_left(now, controls.ttl_seconds), controls.urgency or "normal"
    if push.dismissed:
        seconds, urgency = min(seconds, DISMISSAL_SECONDS), "low"
    named = {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(seconds),
        "Urgency": urgency,
    }
    topic = controls.topic or _topic(push.collapse_key)
    return named | {"Topic": topic} if topic else named


def _controls(push: Push) -> WebPushControls:
    return push.controls.webpush or WebPushControls()


def _topic(collapse_key: str | None) -> str | None:
    """RFC 8030 §5.4: at most 32 characters of base64url. A key of another form is hashed."""
    if not collapse_key or _TOPIC.fullmatch(collapse_key):
        return collapse_key
    return p256.encode(sha256(collapse_key.encode()).digest()[:24])


def _message(push: Push) -> dict[str, Any]:
    """Without empty values, but for the badge: a badge of 0 means something."""
    told = push.payload
    fields = {
        "id": push.notification_id,
        "title": told.title,
        "body": told.body,
        "url": told.url,
        "icon": told.icon,
        "category": push.category,
        "tag": push.collapse_key or push.notification_id,
        "data": push.data(_controls(push).data),
        **push.control_fields(),
    }
    return {name: value for name, value in fields.items() if value not in ("", None, {})} | {
        "badge": push.badge
    }
