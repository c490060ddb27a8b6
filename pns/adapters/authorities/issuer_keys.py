"""The keys of an OAuth2 issuer: fetched when they are needed, kept while the issuer is away.

Owns no task and no open connection between fetches, so nothing must be started or stopped. jwks.py decides
the use of a key, and oauth2.py checks the content of a token.
"""

from __future__ import annotations

import asyncio
import logging

import httpx2 as httpx

from pns.adapters.authorities.answer import Doubt
from pns.adapters.authorities.jwks import VerifyingKey, verifying_keys
from pns.adapters.authorities.outbound import Outbound
from pns.errors import AuthUnavailable
from pns.runtime.clock import Clock
from pns.runtime.proxy import Proxy
from pns.settings import OAuth2Settings

log = logging.getLogger(__name__)

_MAX_AGE = 3_600.0
_PAUSE = 60.0
"""Seconds between two fetches, so that tokens with invented key ids cannot make PNS flood the issuer."""
_PAUSE_WITHOUT_KEYS = 5.0
_FETCH_SECONDS = 5.0
_BODY_LIMIT = 524_288
_HEADERS = ((b"accept", b"application/json"), (b"accept-encoding", b"identity"))


class IssuerKeys:
    """The verifying keys at `oauth2.jwks_url`, or at the address in the issuer's metadata."""

    def __init__(self, settings: OAuth2Settings, *, clock: Clock, proxy: Proxy | None = None) -> None:
        self._proxy = proxy
        self._settings = settings
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._keys: tuple[VerifyingKey, ...] | None = None
        self._stale_at = float("-inf")
        self._next_fetch = float("-inf")
        self._last_failed = False

    async def matching(self, kid: str | None, algorithm: str) -> list[VerifyingKey]:
        """The keys that may verify a token with this header. Missing and old keys are fetched again.

        At most a single fetch runs at a time and in a minute. An empty list: the issuer has no such key.
        Raises AuthUnavailable when the issuer did not answer.
        """
        if self._is_stale() and not (self._keys and self._fetching.locked()):
            await self._fetch_unless_done()
        if not (found := self._find(kid, algorithm)):
            await self._fetch_unless_done()
            found = self._find(kid, algorithm)
        if not found and self._last_failed:
            raise AuthUnavailable
        return found

    async def trouble(self) -> str:
        """Why the keys cannot be fetched now; empty if they can. Keeps nothing."""
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                await self._fetch()
        except (Doubt, TimeoutError) as error:
            return _told(error)
        return ""

    def _is_stale(self) -> bool:
        return self._clock.monotonic() >= self._stale_at

    def _find(self, kid: str | None, algorithm: str) -> list[VerifyingKey]:
        keys = self._keys or ()
        return [key for key in keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]

    async def _fetch_unless_done(self) -> None:
        async with self._fetching:
            if self._clock.monotonic() < self._next_fetch:
                return
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    self._keys = await self._fetch()
            except (Doubt, TimeoutError) as error:
                self._last_failed = True
                log.warning("the keys of the OAuth2 issuer could not be fetched: %s", _told(error))
            else:
                self._last_failed = False
                self._stale_at = self._clock.monotonic() + _MAX_AGE
            # Not after a cancellation: the next caller then fetches at once.
            pause = _PAUSE_WITHOUT_KEYS if self._keys is None else _PAUSE
            self._next_fetch = self._clock.monotonic() + pause

    async def _fetch(self) -> tuple[VerifyingKey, ...]:
        outbound = Outbound(connections=1, body_limit=_BODY_LIMIT, proxy=self._proxy)
        try:
            url = self._settings.jwks_url or await self._discover(outbound)
            keys = verifying_keys(await _get_json(outbound, url))
        except ValueError as error:
            raise Doubt(f"the key set is {error}") from None
        finally:
            await outbound.close()
        if not keys:
            raise Doubt("the key set holds no key that may verify a token")
        return keys

    async def _discover(self, outbound: Outbound) -> str:
        """OpenID Connect Discovery 1.0 §4, else RFC 8414 §3; the `issuer` named there must be ours."""
        issuer = self._settings.issuer
        reasons = []
        for url in _metadata_urls(issuer):
            try:
                return _jwks_uri(await _get_json(outbound, url), issuer)
            except Doubt as doubt:
                reasons.append(f"{url}: {doubt}")
        raise Doubt("; ".join(reasons))


def _told(error: Doubt | TimeoutError) -> str:
    return str(error) or f"no answer within {_FETCH_SECONDS:g} s"


def _metadata_urls(issuer: str) -> tuple[str, str]:
    base = issuer.rstrip("/")
    scheme, _, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    return (
        f"{base}/.well-known/openid-configuration",
        f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}",
    )


def _jwks_uri(metadata: object, issuer: str) -> str:
    if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
        raise Doubt("it is not the metadata of oauth2.issuer")
    uri = metadata.get("jwks_uri")
    schemes = ("https://", "http://") if issuer.startswith("http://") else ("https://",)
    if not isinstance(uri, str) or not uri.startswith(schemes):
        raise Doubt("it names no jwks_uri that may be asked")
    return uri


async def _get_json(outbound: Outbound, url: str) -> object:
    try:
        answer = await outbound.ask("GET", httpx.URL(url), headers=_HEADERS)
    except httpx.InvalidURL:
        raise Doubt("the URL is not one") from None
    if answer.status != 200:
        raise Doubt(f"it answered {answer.status}")
    return answer.json()
