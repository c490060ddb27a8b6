"""The secrets that all nodes on a store share: their names in the store, and new secrets.

The first start makes the secrets; `pns copy` takes them along. Nothing here logs or prints a secret.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from secrets import token_urlsafe

from cryptography.hazmat.primitives.asymmetric import ec

SESSION_SECRET = "session secret"
VAPID_KEY = "push key"


def new_secret() -> str:
    """A random secret: 32 bytes, base64url."""
    return token_urlsafe(32)


def new_vapid_key() -> str:
    """A random private key of P-256: 32 bytes, base64url (RFC 8292 §3.2)."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
