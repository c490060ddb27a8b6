"""Keys of P-256 as Web Push writes them: raw bytes in base64url, without padding (RFC 8291, RFC 8292 §3.2).

Pure. No error's text repeats any part of a key.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
PRIVATE_BYTES = 32
POINT_BYTES = 65
"""A public key, uncompressed: 4, x, y."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str, length: int) -> bytes:
    """The `length` bytes of `text`, padded or not. Raises ValueError for any other text."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    raw = urlsafe_b64decode(text.rstrip("=") + "==")
    if len(raw) != length:
        raise ValueError(f"not {length} bytes")
    return raw


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError for an impossible private key, such as zero."""
    return ec.derive_private_key(int.from_bytes(decode(text, PRIVATE_BYTES), "big"), CURVE)


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Raises ValueError for any text but an uncompressed point of the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decode(text, POINT_BYTES))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
