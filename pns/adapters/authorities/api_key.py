"""API keys: `app.api_keys` as bearer tokens of the application.

Memory holds digests, not keys, and a comparison takes the same time whatever is compared. Without keys
nobody is admitted.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pns.adapters.authorities.bearer import bearer_token
from pns.errors import Unauthorized


class ApiKeys:
    """An ApplicationAuthority: any one of several keys, so that they can be rotated."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key.encode()) for key in keys)

    async def authorize(self, authorization: bytes | None) -> None:
        shown = _digest(bearer_token(authorization))
        # A sum, not any(): every key is compared, so that time does not tell which one it is.
        if not sum(hmac.compare_digest(shown, digest) for digest in self._digests):
            raise Unauthorized


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
