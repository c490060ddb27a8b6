"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 of id, time and body."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode


class Signer:
    """Signs with one secret, `whsec_` and base64. Shows the secret nowhere."""

    def __init__(self, secret: str) -> None:
        self._key = b64decode(secret.removeprefix("whsec_"))

    def headers(self, webhook_id: str, body: bytes, *, seconds: int) -> dict[str, str]:
        """The headers of an attempt at `seconds` since 1970."""
        signed = b".".join((webhook_id.encode(), str(seconds).encode(), body))
        signature = b64encode(hmac.digest(self._key, signed, "sha256")).decode()
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"v1,{signature}",
        }
