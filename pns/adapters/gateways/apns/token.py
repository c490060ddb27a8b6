"""Provider tokens of APNs: JWTs by which APNs knows the sender of a push.

A token is good for an hour, and all pushes share the token. APNs takes no new token within 20 minutes of the
last. So a token is renewed after 50 minutes, or earlier when APNs calls the token expired; but never within
the 20 minutes. (Apple, "Establishing a token-based connection to APNs".)
"""

from __future__ import annotations

import re

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from pns.adapters.gateways import key_files
from pns.errors import SettingsError
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock
from pns.settings import APNsSettings

RENEWED_AFTER = 50 * 60.0
PAUSE = 20 * 60.0
"""Seconds between two renewals."""

_ID = re.compile(r"[A-Z0-9]{10}")


class ProviderToken:
    """The token of a key and a team. `bearer` is the value of the `authorization` header."""

    def __init__(self, settings: APNsSettings, *, clock: Clock) -> None:
        """Raises SettingsError for an unreadable key and for impossible ids."""
        for name in ("key_id", "team_id"):
            if not _ID.fullmatch(getattr(settings, name)):
                raise SettingsError(f"push.apns.{name} must be the ten capitals and digits that Apple gave")
        self._key = _private_key(settings.key_file)
        self._settings = settings
        self._clock = clock
        self._bearer = ""
        self._issued = 0
        self._made = self._kept_until = float("-inf")

    def bearer(self) -> str:
        """The token to send now."""
        if self._age() >= RENEWED_AFTER:
            self._renew_unless_kept()
        return self._bearer

    def renew(self, refused: str) -> bool:
        """APNs calls `refused` expired. Returns True for a newer token; False if a new token is too early."""
        if self._age() >= PAUSE:
            self._renew_unless_kept()
        return refused != self._bearer

    def keep(self) -> None:
        """APNs has seen too many tokens: the present token stays for `PAUSE`."""
        self._kept_until = self._clock.monotonic() + PAUSE

    def _age(self) -> float:
        """Seconds. By the wall clock too, which is APNs' measure: the machine may have slept."""
        by_the_wall = abs(self._clock.now() - self._issued) / SECOND
        return max(self._clock.monotonic() - self._made, by_the_wall)

    def _renew_unless_kept(self) -> None:
        if self._bearer and self._clock.monotonic() < self._kept_until:
            return
        self._issued, self._made = self._clock.now(), self._clock.monotonic()
        header = {"alg": "ES256", "kid": self._settings.key_id}
        claims = {"iss": self._settings.team_id, "iat": self._issued // SECOND}
        self._bearer = f"bearer {jwt.encode(header, claims, self._key, default_type=None)}"


def _private_key(path: str) -> ECKey:
    remedy = "the key (.p8) from Apple"
    content = key_files.read(path, "push.apns.key_file", remedy)
    try:
        key = ECKey.import_key(content)
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or not key.is_private or key.curve_name != "P-256":
        raise SettingsError(f"push.apns.key_file must be {remedy}, but it {key_files.described(content)}")
    return key
