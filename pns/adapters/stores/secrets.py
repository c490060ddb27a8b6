"""The secrets that all nodes on a store share: how they are called there, and how one is made.

The first start makes them; `pns copy` takes them along. Nothing here logs or prints one.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from secrets import token_urlsafe

from cryptography.hazmat.primitives.asymmetric import ec

SESSION_SECRET = "session secret"
VAPID_KEY = "push key"


def new_secret() -> str:
    """What nobody can guess: 32 bytes, base64url."""
    return token_urlsafe(32)


def new_vapid_key() -> str:
    """A private key of P-256 that nobody knows: 32 bytes, base64url (RFC 8292 §3.2)."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
