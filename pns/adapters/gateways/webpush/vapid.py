"""VAPID (RFC 8292): the key by which push services know this server, and the tokens signed with the key.

A token is for an origin. A token holds for 12 hours and is used again for 6 hours, as long as the clock does
not jump; so most pushes cost no signature. A token that its service took once is good: a later refusal has
another cause. Asks nobody, and never shows the private key.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from pns.adapters.gateways import p256
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock
from pns.settings.rules import Origin
from pns.settings.subject import subject

LIFE_SECONDS = 12 * 3600
"""RFC 8292 §2 allows 24 hours; half of the time leaves room for wrong clocks."""
MOST_ORIGINS = 1000
"""The number of kept tokens. Clients choose the origins, so the number of origins has no bound."""


def new_private_key() -> str:
    """A private key for `push.webpush.private_key`: 32 bytes in base64url."""
    number = ec.generate_private_key(p256.CURVE).private_numbers().private_value
    return p256.encode(number.to_bytes(p256.PRIVATE_BYTES, "big"))


def public_key(private: str) -> str:
    """The `applicationServerKey` of pages. Raises ValueError as `check_private_key` does."""
    return p256.encode(p256.point(p256.private_key(check_private_key(private)).public_key()))


def check_private_key(text: str) -> str:
    """`push.webpush.private_key`."""
    try:
        p256.private_key(text)
    except ValueError:
        allowed = "must be a P-256 private key, 32 bytes in base64url; `pns webpush keygen` makes one"
        raise ValueError(allowed) from None
    return text


def check_subject(text: str) -> str:
    """`push.webpush.subject`."""
    return subject(text)


class _Token(NamedTuple):
    text: str
    made_at: int
    taken: bool = False


class Vapid:
    """This server's proof to every push service. `public_key`: in the form that pages need."""

    def __init__(self, private_key: str, *, subject: str, clock: Clock) -> None:
        """Raises ValueError as `check_private_key` and `check_subject` do."""
        self.public_key = public_key(private_key)
        self._key = ECKey.import_key(p256.private_key(private_key))
        self._subject = check_subject(subject)
        self._clock = clock
        self._tokens: dict[Origin, _Token] = {}

    def authorization(self, origin: Origin) -> str:
        """The header `Authorization` for a push to `origin` (RFC 8292 §3)."""
        return f"vapid t={self._token(origin)}, k={self.public_key}"

    def was_taken(self, origin: Origin) -> None:
        """`origin` has accepted a push of ours."""
        if origin in self._tokens and not self._tokens[origin].taken:
            self._tokens[origin] = self._tokens[origin]._replace(taken=True)

    def is_good(self, origin: Origin) -> bool:
        """Whether `origin` took the present token before."""
        return origin in self._tokens and self._tokens[origin].taken

    def _token(self, origin: Origin) -> str:
        now = self._clock.now() // SECOND
        token = self._tokens.pop(origin, None)
        if token is None or not 0 <= now - token.made_at < LIFE_SECONDS // 2:
            token = _Token(self._sign(origin, now), now)
        self._tokens[origin] = token  # the newest stands last
        if len(self._tokens) > MOST_ORIGINS:
            del self._tokens[next(iter(self._tokens))]
        return token.text

    def _sign(self, origin: Origin, now: int) -> str:
        claims = {"aud": str(origin), "exp": now + LIFE_SECONDS, "sub": self._subject}
        return jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)
