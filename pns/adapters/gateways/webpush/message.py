"""The parts of a Web Push message: its text, its encryption (RFC 8291), its headers (RFC 8030 §5).

Pure but for the key and the salt, which are new for each message. All sizes are bytes, and are checked before
sending: http_ece would cut a long text into several records, and RFC 8291 §4 forbids several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from pns.adapters.gateways import p256
from pns.model.push import Push, WebPushControls

MAX_BODY = 4096
"""Every push service must take this much (RFC 8030 §7.2)."""
MAX_TEXT = 3993
"""The rest for the text: the header of aes128gcm takes 86 bytes, padding 1, the tag 16."""
AUTH_BYTES = 16
DISMISSAL_SECONDS = 4 * 3600
"""For how long a dismissal is worth sending."""

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Unsendable(ValueError):
    """This push can never be sent. The message says why, without any of its data."""


def text(push: Push) -> bytes:
    """The message for the page's service worker, as JSON. Raises Unsendable if the message is too long."""
    encoded = msgspec.json.encode(push.dismissal() if push.dismissed else _message(push))
    if len(encoded) > MAX_TEXT:
        raise Unsendable(f"the message has {len(encoded)} bytes; Web Push takes {MAX_TEXT}")
    return encoded


def encrypted(text: bytes, keys: Mapping[str, str]) -> bytes:
    """The body: `text` for the owner of the subscription's `keys`, in one record. Raises Unsendable."""
    try:
        browser, auth = p256.public_key(keys["p256dh"]), p256.decode(keys["auth"], AUTH_BYTES)
    except (KeyError, ValueError):
        raise Unsendable("the subscription has no usable keys") from None
    body: bytes = http_ece.encrypt(
        text,
        private_key=ec.generate_private_key(p256.CURVE),
        dh=p256.point(browser),
        auth_secret=auth,
        rs=MAX_BODY,
        version="aes128gcm",
    )
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
