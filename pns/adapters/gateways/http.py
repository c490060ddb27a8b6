"""The common parts of the gateways over HTTP: a client, the time to come back, an answer that never came.

No redirect is ever followed, and no proxy but `outbound.proxy` is used.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache

from pns.adapters.gateways import key_files
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.runtime.http1.dial import Dial, DialThrough
from pns.runtime.http1.place import Place, head
from pns.runtime.http1.pool import Pool
from pns.runtime.http1.reader import Answer
from pns.runtime.proxy import Proxy
from pns.runtime.retry_after import retry_after as retry_after

MOST_REASON = 200
"""Characters kept of a service's own words."""

_CERTIFICATES = "a file of certificates in PEM form"
_KEEP_SECONDS = 20.0
"""Below what the services and their proxies allow, so that a push seldom meets a connection being closed."""
_MOST_BODY = 65_536
_OWN = {"accept-encoding": "identity", "user-agent": "PNS"}


def trusted(ca_file: str, key: str) -> ssl.SSLContext:
    """Whom to trust: the certificates of `ca_file`, else the system's. Raises SettingsError naming `key`."""
    content = key_files.read(ca_file, key, _CERTIFICATES) if ca_file else b""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        damaged = key_files.CERTIFICATE in content
        why = "what it holds is damaged or cut short" if damaged else "it holds no certificate"
        raise SettingsError(f"{key} must be {_CERTIFICATES}: {why}") from None


class Client:
    """Requests to the servers of a service. The caller sets the deadline, by a cancellation."""

    def __init__(self, trust: ssl.SSLContext, *, connections: int, proxy: Proxy | None = None) -> None:
        """At most `connections` stay open without work. You must call `close` at the end."""
        dial = DialThrough(proxy, trust) if proxy else Dial(trust)
        self._pool = Pool(dial, idle=connections, keep_seconds=_KEEP_SECONDS)

    async def ask(
        self, method: str, place: Place, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """The final answer, of any status. Raises NoAnswer. `headers`: of ASCII characters."""
        begun = _begun(method, place, tuple(headers.items()))
        request = b"%bcontent-length: %d\r\n\r\n%b" % (begun, len(body), body)
        return await self._pool.exchange(place, request, most=_MOST_BODY)

    def close(self) -> None:
        """Drop all connections. Safe to call twice."""
        self._pool.close()


@lru_cache(maxsize=16)
def _begun(method: str, place: Place, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head without its last lines: the same for each push, as long as an access token holds."""
    named = {**_OWN, **dict(headers)}.items()
    return head(method, place, [(name.encode("ascii"), value.encode("ascii")) for name, value in named])[:-2]


def lost(words: str) -> Receipt:
    """No answer: the service is away, or the request arrived and the answer is lost."""
    return Receipt(Outcome.UNAVAILABLE, f"no answer ({words})")


def reason(status: int, words: str = "") -> str:
    """A status and the service's own words, on one line."""
    text = " ".join(words.split())[:MOST_REASON]
    return f"{status} {text}".strip()
