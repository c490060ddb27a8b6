"""The signature of PNS's webhooks: Standard Webhooks, symmetric (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from pns_client.errors import BadSignature

TOLERANCE_SECONDS: Final = 300


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: str | bytes, *, now: float | None = None
) -> Any:
    """The event of a webhook: an object with `type`, `timestamp` and `data`. Raises BadSignature.

    `secret`: "whsec_…", as `pns webhook secret` prints it. `body`: the bytes of the request as they came.
    `now`: seconds since 1970, the time of this machine by default. An event comes again under its
    `webhook-id` until it is taken.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    told_id, told_at = fields.get("webhook-id", ""), fields.get("webhook-timestamp", "")
    raw = body.encode() if isinstance(body, str) else body
    if not (told_id and told_at.isascii() and told_at.isdigit()):
        raise BadSignature("webhook-id or webhook-timestamp is missing")
    if abs((time.time() if now is None else now) - int(told_at)) > TOLERANCE_SECONDS:
        raise BadSignature("webhook-timestamp is more than five minutes from now")
    expected = _signature(secret, f"{told_id}.{told_at}.".encode() + raw)
    signatures = [one.partition(",") for one in fields.get("webhook-signature", "").split()]
    if not any(name == "v1" and _same(value, expected) for name, _, value in signatures):
        raise BadSignature("no signature in webhook-signature fits")
    return json.loads(raw)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _signature(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError('secret must be "whsec_" and base64: `pns webhook secret` prints it') from None
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
