"""The declarative form of a push: the browser shows it by itself where the page's service worker fails. Pure.

Safari 18.4 and later read the form, and no failing worker costs a subscription there. `mutable` asks the
browser for the worker first. The form is a draft (https://w3c.github.io/push-api/): this module alone knows
the form. `app_badge` stands in two places, because its place has changed between releases of Safari.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

from pns.model.push import Payload, Push
from pns.settings.rules import Origin, parse_origin

MAGIC = 8030
UNTITLED = "New notification"
"""The form must have a title. The worker has its own words for a notification without one."""

_ORIGIN = re.compile(r"(https?://[^/?#\\]+)(?:[/?#].*)?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
"""Browsers drop some of these characters from an address, and read a backslash as a slash."""


def declarative(push: Push, origin: str) -> dict[str, Any]:
    """The members of the form. `origin`: of the page that registered; a foreign address leads there."""
    told, tag = push.payload, push.collapse_key or push.notification_id
    shown = {
        "title": told.title or UNTITLED,
        "body": told.body,
        "navigate": _within(told.url, origin) or f"{origin}/",
        "icon": _icon(told.icon, origin),
        "tag": tag,
        "renotify": tag != push.notification_id,
        "timestamp": push.create_date // 1000,
        "data": _data(push, told),
    }
    filled = {name: value for name, value in shown.items() if value}
    notification = {**filled, "app_badge": push.badge}
    return {"web_push": MAGIC, "notification": notification, "app_badge": push.badge, "mutable": True}


def _data(push: Push, told: Payload) -> dict[str, Any]:
    """For the page and the worker, in the form of the worker's own notifications."""
    data = {"id": push.notification_id, "url": told.url, "when": push.create_date // 1000}
    return data if told.title else {**data, "untitled": True}


def _icon(url: str, origin: str) -> str:
    """Absolute, https or of the page's origin; else empty: an address that is none would spoil the form."""
    return _within(url, origin) or (url if url.startswith("https://") and _origin(url) else "")


def _within(url: str, origin: str) -> str:
    """The absolute address of `url`, if it is one of `origin`; else empty."""
    absolute = _joined(url, origin)
    found = _origin(absolute)
    return absolute if found is not None and found == parse_origin(origin) else ""


def _joined(url: str, origin: str) -> str:
    try:
        return urljoin(f"{origin}/", url) if url and not _UNSAFE.search(url) else ""
    except ValueError:  # brackets that hold no address
        return ""


def _origin(url: str) -> Origin | None:
    match = None if _UNSAFE.search(url) else _ORIGIN.fullmatch(url)
    return parse_origin(match[1]) if match else None
