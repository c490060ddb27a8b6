"""The secrets that all nodes on a store share: their names in the store, and new secrets.

The first start makes the secrets, and loads cryptography for them; `pns copy` takes them along. Nothing here
logs or prints a secret.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from secrets import token_bytes, token_urlsafe

SESSION_SECRET = "session secret"
VAPID_KEY = "push key"
WEBHOOK_SECRET = "webhook secret"


def new_secret() -> str:
    """A random secret: 32 bytes, base64url."""
    return token_urlsafe(32)


def new_webhook_secret() -> str:
    """A random secret as Standard Webhooks writes one: 32 bytes, base64, after `whsec_`."""
    return f"whsec_{b64encode(token_bytes(32)).decode()}"


def new_vapid_key() -> str:
    """A random private key of P-256: 32 bytes, base64url (RFC 8292 §3.2)."""
    from cryptography.hazmat.primitives.asymmetric import ec

    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
