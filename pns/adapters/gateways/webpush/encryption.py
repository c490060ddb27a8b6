"""The encryption of a Web Push message: RFC 8291, in one record of aes128gcm (RFC 8188).

Pure. The key and the salt come from the caller, and must be new for each message.
"""

from __future__ import annotations

import hmac
import struct
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pns.adapters.gateways import p256

SALT_BYTES = 16
_HEAD = struct.Struct(">16sIB65s")
_LAST_RECORD = b"\x02"
"""What ends the text of the only record (RFC 8188 §2)."""


class Reader(NamedTuple):
    """The browser: the key of the subscription, as a point, and the secret that it shares with PNS."""

    point: bytes
    auth: bytes


def sealed(
    text: bytes, reader: Reader, *, key: ec.EllipticCurvePrivateKey, salt: bytes, record: int
) -> bytes:
    """The body of a message. `record`: the record's size. Raises ValueError for a point of no curve."""
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(p256.CURVE, reader.point)
    own = p256.point(key.public_key())
    shared = key.exchange(ec.ECDH(), theirs)
    info = b"WebPush: info\x00" + reader.point + own
    secret = _extracted(salt, _expanded(_extracted(reader.auth, shared), info, 32))
    content_key = _expanded(secret, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _expanded(secret, b"Content-Encoding: nonce\x00", 12)
    head = _HEAD.pack(salt, record, len(own), own)
    return head + AESGCM(content_key).encrypt(nonce, text + _LAST_RECORD, None)


def _extracted(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869 §2.2)."""
    return hmac.digest(salt, secret, "sha256")


def _expanded(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of at most 32 bytes (RFC 5869 §2.3)."""
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]
