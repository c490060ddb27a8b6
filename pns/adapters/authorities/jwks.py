"""A JSON Web Key Set (RFC 7517), reduced to the public keys that may verify an access token.

Each key carries the algorithms it may be used with; a token's own `alg` only ever picks among them. So no
symmetric key, no `none`, no key for encryption, no weak RSA key ever verifies anything (RFC 8725 §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

_RSA_BITS = 2048

# kty, crv → the algorithms of such a key. A key with an `alg` of its own gets that one alone.
_ALGORITHMS: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA", "Ed448"),
}
ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)

_KEY_TYPES: dict[str, tuple[type[RSAKey | ECKey | OKPKey], tuple[str, ...]]] = {
    "RSA": (RSAKey, ("n", "e")),
    "EC": (ECKey, ("crv", "x", "y")),
    "OKP": (OKPKey, ("crv", "x")),
}


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key of the issuer and the names of the algorithms that it is pinned to."""

    kid: str | None
    algorithms: frozenset[str]
    key: Key

    def verifies(self, token: bytes) -> bool:
        """Whether the key signed `token`, a JWS in compact form. The caller has read its header."""
        try:
            deserialize_compact(token, self.key, registry=_Pinned(self.algorithms, self.key))
        except (JoseError, ValueError):
            return False
        return True


def verifying_keys(key_set: object) -> tuple[VerifyingKey, ...]:
    """The usable keys of a decoded key set; others are left out. Raises ValueError if it is no key set."""
    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a JSON object with a list of keys")
    usable = (_verifying_key(jwk) for jwk in keys if isinstance(jwk, dict))
    return tuple(key for key in usable if key is not None)


def _verifying_key(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    kid, algorithms = jwk.get("kid"), _algorithms(jwk)
    if not algorithms or not isinstance(kid, str | None) or not _for_signatures(jwk):
        return None
    try:
        return VerifyingKey(kid, algorithms, _import(jwk))
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return frozenset()
    possible = _ALGORITHMS.get((kty, crv), ())
    stated = jwk.get("alg")
    return frozenset(name for name in possible if stated is None or name == stated)


def _for_signatures(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _import(jwk: Mapping[str, Any]) -> Key:
    """From the public members alone: a private part that an issuer published is not even read."""
    kind, members = _KEY_TYPES[jwk["kty"]]
    public = {member: jwk[member] for member in members}
    if not all(isinstance(value, str) for value in public.values()):
        raise ValueError("a member of the key is not a string")
    if kind is RSAKey and len(public["n"].rstrip("=")) * 6 < _RSA_BITS:
        raise ValueError("the RSA key is too short")
    return kind.import_key({"kty": jwk["kty"], **public})


class _Pinned(JWSRegistry):
    """Only the algorithms of one key. EdDSA is taken by its curve's name: the same algorithm (RFC 9864)."""

    max_header_length = 8_192
    max_payload_length = 16_384
    max_signature_length = 2_048

    def __init__(self, allowed: frozenset[str], key: Key) -> None:
        super().__init__(algorithms=allowed, strict_check_header=False)
        self._curve = key.curve_name if isinstance(key, OKPKey) else None

    def get_alg(self, name: str) -> Any:
        if self._curve is not None and self.allowed and name in self.allowed:
            return self.algorithms[self._curve]
        return super().get_alg(name)
