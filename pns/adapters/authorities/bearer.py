"""The `Authorization: Bearer` header of RFC 6750 §2.1, read strictly."""

from __future__ import annotations

from pns.errors import Unauthorized

_MOST_BYTES = 16_384
_VISIBLE = bytes(range(0x21, 0x7F))


def bearer_token(authorization: bytes | None) -> bytes:
    """The token after `Bearer` (in any case) and a space: visible ASCII, at most 16 KiB.

    Raises Unauthorized for everything else, a missing header included.
    """
    if authorization is None or len(authorization) > _MOST_BYTES:
        raise Unauthorized
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token or token.translate(None, _VISIBLE):
        raise Unauthorized
    return token
