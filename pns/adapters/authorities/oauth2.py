"""Access tokens of the OAuth2 client-credentials flow: JWTs of one issuer, checked without asking it.

The token proves itself by a signature of the issuer's keys (issuer_keys.py) or is refused; nothing that it
says about keys or algorithms is trusted (RFC 8725). Tokens are never kept and never logged. The reason of a
refusal is PNS's own words.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pns.adapters.authorities.bearer import bearer_token
from pns.adapters.authorities.issuer_keys import IssuerKeys
from pns.adapters.authorities.jwks import ALGORITHMS
from pns.errors import SettingsError, Unauthorized
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock
from pns.runtime.proxy import Proxy
from pns.runtime.quiet_log import QuietLog
from pns.settings import OAuth2Settings

log = logging.getLogger(__name__)

_LEEWAY = 60
_JWS = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_REFUSED_HEADERS = frozenset(("b64", "crit", "jku", "jwk", "x5u", "zip"))
"""They change what is signed, or say where a key would be. A token that needs them is not for PNS."""
_AUDIENCES = ("aud", "client_id", "azp", "appid")
_SCOPES = ("scope", "scp", "roles", "permissions", "groups")
"""Where the issuers that are known keep an audience and scopes."""
_TYPES = frozenset(("jwt", "application/jwt", "at+jwt", "application/at+jwt"))


class OAuth2:
    """An ApplicationAuthority for access tokens.

    Admits a token with a signature of the issuer, `iss` equal to `oauth2.issuer`, `oauth2.audience` in the
    claim `oauth2.audience_claim`, `exp` to come, `nbf` and `iat` past (60 s of leeway), and `oauth2.scope` in
    the claim `oauth2.scope_claim` ("" asks for none). A claim inside another is named by a path of dots.
    Raises SettingsError if issuer or audience is empty: it would admit the tokens of others.
    """

    def __init__(self, settings: OAuth2Settings, *, clock: Clock, proxy: Proxy | None = None) -> None:
        if not settings.issuer or not settings.audience:
            raise SettingsError("app.oauth2 needs both issuer and audience")
        self._settings = settings
        self._clock = clock
        self._keys = IssuerKeys(settings, clock=clock, proxy=proxy)
        self._log = QuietLog(log, clock=clock)

    async def authorize(self, authorization: bytes | None) -> None:
        if flaw := await self.flaw(bearer_token(authorization)):
            self._log.write("refused", f"an access token is refused: {flaw}")
            raise Unauthorized

    async def trouble(self) -> str:
        """Why the issuer's keys cannot be fetched now; empty if they can."""
        return await self._keys.trouble()

    async def flaw(self, token: bytes) -> str:
        """Why `token` is refused, without a word of the token; empty for a good token.

        Raises AuthUnavailable when the issuer's keys are needed and cannot be fetched.
        """
        try:
            header, claims = _read(token)
            _check_header(header)
            _check_claims(claims, self._settings, now=self._clock.now() / SECOND)
        except ValueError as error:
            return _told(error)
        # Last, so that only a token that might be good costs a fetch or a signature.
        keys = await self._keys.matching(header.get("kid"), header["alg"])
        if not keys:
            return "the issuer has no key with its kid that may be used with its alg"
        return "" if any(key.verifies(token) for key in keys) else "no key of the issuer signed it"


class _Flaw(ValueError):
    """The message is PNS's own words. Other ValueErrors quote a piece of the token."""


def _told(error: ValueError) -> str:
    return str(error) if isinstance(error, _Flaw) else "it does not hold JSON in UTF-8"


def _read(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    segments = _JWS.fullmatch(token)
    if segments is None:
        raise _Flaw("it is no signed JWT, and no key of app.api_keys")
    return _object(segments[1]), _object(segments[2])


def _object(segment: bytes) -> dict[str, Any]:
    """A JSON object. Names must be unique: a parser elsewhere may take the other one (RFC 8725 §2.4)."""
    try:
        text = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise _Flaw("its JSON is too deep") from None
    if not isinstance(value, dict):
        raise _Flaw("it holds JSON that is no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Flaw("its JSON has a name twice")
    return value


def _refuse_constant(name: str) -> float:
    raise _Flaw("NaN and Infinity are not JSON")


def _check_header(header: Mapping[str, Any]) -> None:
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise _Flaw("its header has a member that is never trusted")
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise _Flaw("its alg is not one of public-key signatures")
    if not isinstance(header.get("kid", ""), str):
        raise _Flaw("its kid is not a string")
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _Flaw("its typ is not that of an access token")


def _check_claims(claims: Mapping[str, Any], settings: OAuth2Settings, *, now: float) -> None:
    if claims.get("iss") != settings.issuer:
        raise _Flaw("its iss is not app.oauth2.issuer, which must be the same to the letter")
    if settings.audience not in _strings(_claim(claims, settings.audience_claim)):
        raise _Flaw(_lacks(claims, settings.audience_claim, "audience", likely=_AUDIENCES))
    if _seconds(claims, "exp") <= now:
        raise _Flaw("its exp has passed; or this machine's clock is wrong")
    for name in ("nbf", "iat"):
        if name in claims and _seconds(claims, name) > now + _LEEWAY:
            raise _Flaw(f"its {name} lies ahead; or this machine's clock is wrong")
    if settings.scope and settings.scope not in _scopes(claims, settings.scope_claim):
        raise _Flaw(_lacks(claims, settings.scope_claim, "scope", likely=_SCOPES))


def _lacks(claims: Mapping[str, Any], name: str, key: str, *, likely: Sequence[str]) -> str:
    """The words for a claim `name` without the value of the setting `key`. `likely`: other claims to name."""
    if _claim(claims, name) is not None:
        return f"its {name} does not hold app.oauth2.{key}"
    found = [other for other in likely if other != name and _claim(claims, other) is not None]
    remedy = f"set app.oauth2.{key}_claim to the claim that holds app.oauth2.{key}"
    return f"it has no {name}" + (f", but {' and '.join(found)}" if found else "") + f": {remedy}"


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of this very name, else the one at the end of a path such as `realm_access.roles`."""
    if name in claims:
        return claims[name]
    value: object = claims
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """RFC 7519 §2: a number, which may have a fraction."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) == float("inf"):
        raise _Flaw(f"its {name} is missing, or no number of seconds")
    return value


def _strings(value: object) -> list[str]:
    """A string, or a list of strings, as a list; nothing for anything else."""
    values = value if isinstance(value, list) else [value]
    strings = [item for item in values if isinstance(item, str)]
    return strings if len(strings) == len(values) else []


def _scopes(claims: Mapping[str, Any], name: str) -> list[str]:
    """RFC 8693 §4.2: separated by spaces. Some issuers write a list, or name `scope` `scp`."""
    names = ("scope", "scp") if name == "scope" else (name,)
    stated = [text for each in names for text in _strings(_claim(claims, each))]
    return [scope for text in stated for scope in text.split(" ")]
