"""Access tokens of the OAuth2 client-credentials flow: JWTs of one issuer, checked without asking it.

The token proves itself by a signature of the issuer's keys (issuer_keys.py) or is refused; nothing that it
says about keys or algorithms is trusted (RFC 8725). Tokens are never kept and never logged.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from pns.adapters.authorities.bearer import bearer_token
from pns.adapters.authorities.issuer_keys import IssuerKeys
from pns.adapters.authorities.jwks import ALGORITHMS
from pns.errors import SettingsError, Unauthorized
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock
from pns.settings import OAuth2Settings

log = logging.getLogger(__name__)

_LEEWAY = 60
_JWS = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_REFUSED_HEADERS = frozenset(("b64", "crit", "jku", "jwk", "x5u", "zip"))
"""They change what is signed, or say where a key would be. A token that needs them is not for PNS."""
_TYPES = frozenset(("jwt", "application/jwt", "at+jwt", "application/at+jwt"))


class OAuth2:
    """An ApplicationAuthority for access tokens.

    Admits a token with a signature of the issuer, `iss` equal to `oauth2.issuer`, `oauth2.audience` in `aud`,
    `exp` to come, `nbf` and `iat` past (60 s of leeway), and `oauth2.scope` in `scope` or `scp` ("" asks for
    none). Raises SettingsError if issuer or audience is empty: it would admit the tokens of others.
    """

    def __init__(self, settings: OAuth2Settings, *, clock: Clock) -> None:
        if not settings.issuer or not settings.audience:
            raise SettingsError("app.oauth2 needs both issuer and audience")
        self._settings = settings
        self._clock = clock
        self._keys = IssuerKeys(settings, clock=clock)

    async def authorize(self, authorization: bytes | None) -> None:
        token = bearer_token(authorization)
        try:
            header, claims = _read(token)
            _check_header(header)
            _check_claims(claims, self._settings, now=self._clock.now() // SECOND)
        except ValueError as error:
            log.debug("an access token was refused: %s", error)
            raise Unauthorized from None
        # Last, so that only a token that might be good costs a fetch or a signature.
        if not any(
            key.verifies(token) for key in await self._keys.matching(header.get("kid"), header["alg"])
        ):
            log.debug("an access token was refused: no key of the issuer signed it")
            raise Unauthorized


def _read(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    segments = _JWS.fullmatch(token)
    if segments is None:
        raise ValueError("it is not a JWS in compact form")
    return _object(segments[1]), _object(segments[2])


def _object(segment: bytes) -> dict[str, Any]:
    """A JSON object. Names must be unique: a parser elsewhere may take the other one (RFC 8725 §2.4)."""
    try:
        text = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("its JSON is too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it holds JSON that is no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("its JSON has a name twice")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _check_header(header: Mapping[str, Any]) -> None:
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise ValueError("its header has a member that is never trusted")
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise ValueError("its alg is not one of public-key signatures")
    if not isinstance(header.get("kid", ""), str):
        raise ValueError("its kid is not a string")
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise ValueError("its typ is not that of an access token")


def _check_claims(claims: Mapping[str, Any], settings: OAuth2Settings, *, now: int) -> None:
    if claims.get("iss") != settings.issuer:
        raise ValueError("iss is not oauth2.issuer")
    if settings.audience not in _strings(claims.get("aud")):
        raise ValueError("aud does not name oauth2.audience")
    if _seconds(claims, "exp") <= now:
        raise ValueError("exp has passed")
    for name in ("nbf", "iat"):
        if name in claims and _seconds(claims, name) > now + _LEEWAY:
            raise ValueError(f"{name} lies ahead")
    if settings.scope and settings.scope not in _scopes(claims):
        raise ValueError("scope does not hold oauth2.scope")


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is not a whole number of seconds")
    return value


def _strings(value: object) -> list[str]:
    """A string, or a list of strings, as a list; nothing for anything else."""
    values = value if isinstance(value, list) else [value]
    strings = [item for item in values if isinstance(item, str)]
    return strings if len(strings) == len(values) else []


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """RFC 8693 §4.2: `scope`, separated by spaces. Some issuers write a list, or name it `scp`."""
    stated = [*_strings(claims.get("scope")), *_strings(claims.get("scp"))]
    return [scope for text in stated for scope in text.split(" ")]
