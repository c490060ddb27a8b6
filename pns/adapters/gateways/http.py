"""The common parts of the gateways over HTTP: a client, the time to come back, an answer that never came.

No redirect is ever followed, no proxy of the environment is used.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2 as httpx

from pns.adapters.gateways import key_files
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.model.timestamp import SECOND

MOST_REASON = 200
"""Characters kept of a service's own words."""

_CERTIFICATES = "a file of certificates in PEM form"


def trusted(ca_file: str, key: str) -> ssl.SSLContext:
    """Whom to trust: the certificates of `ca_file`, else the system's. Raises SettingsError naming `key`."""
    content = key_files.read(ca_file, key, _CERTIFICATES) if ca_file else b""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        damaged = key_files.CERTIFICATE in content
        why = "what it holds is damaged or cut short" if damaged else "it holds no certificate"
        raise SettingsError(f"{key} must be {_CERTIFICATES}: {why}") from None


def make_client(context: ssl.SSLContext, *, connections: int, http2: bool = False) -> httpx.AsyncClient:
    """A client for at most `connections` lines. Its timeouts are the dispatcher's: `push` is cancelled."""
    return httpx.AsyncClient(
        verify=context,
        http2=http2,
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


def retry_after(response: httpx.Response, now: int) -> float | None:
    """The seconds of `Retry-After`, a number or a date (RFC 9110 §10.2.3), from `now` in microseconds."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.fromtimestamp(now / SECOND, UTC)).total_seconds())


def lost(error: httpx.HTTPError) -> Receipt:
    """No answer: the service is away, or the request arrived and the answer is lost."""
    return Receipt(Outcome.UNAVAILABLE, f"no answer ({type(error).__name__})")


def reason(status: int, words: str = "") -> str:
    """A status and the service's own words, on one line."""
    text = " ".join(words.split())[:MOST_REASON]
    return f"{status} {text}".strip()
