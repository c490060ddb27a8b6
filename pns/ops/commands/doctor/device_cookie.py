"""Does a browser send the device cookie back, and does PNS know the cookie then?

Browsers drop a cookie, or keep it to themselves, without a word: by its path, by `Secure`, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx2 as httpx

from pns.ops.commands.doctor.finding import Finding, bad, good
from pns.ops.commands.doctor.remedies import Answer

KEPT = "the device cookie comes back"


class SetCookie(NamedTuple):
    """A Set-Cookie header (RFC 6265 §5.2). `attributes`: names in lower case."""

    pair: str
    attributes: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> SetCookie:
        pair, *rest = (part.strip() for part in header.split(";"))
        attributes = [part.partition("=") for part in rest]
        return cls(pair, {name.strip().lower(): value.strip() for name, _, value in attributes})


async def check_kept(client: httpx.AsyncClient, url: str, login: Mapping[str, str]) -> Finding:
    """Ask `url`, the address of /subscribe, with `login`, and again as a browser would. Raises HTTPError."""
    first = await client.post(url, headers=dict(login))
    named = [SetCookie.parse(header) for header in first.headers.get_list("set-cookie")]
    given = str(Answer.of(first.status_code, first.content).members.get("device_id", ""))
    if not named:
        return bad(KEPT, "the answer to POST /subscribe sets no cookie", _DROPPED)
    for cookie in named:
        if finding := _wrong(cookie, url):
            return finding
    sent = "; ".join(filter(None, [login.get("cookie", ""), *(cookie.pair for cookie in named)]))
    second = await client.post(url, headers={**login, "cookie": sent})
    again = str(Answer.of(second.status_code, second.content).members.get("device_id", ""))
    if again != given:
        return bad(KEPT, "with its cookie, the browser is a new device all the same", _NOT_KNOWN)
    return good(KEPT, f"Path={named[-1].attributes.get('path', '')}, and PNS knows it again")


def _wrong(cookie: SetCookie, url: str) -> Finding | None:
    at = urlsplit(url)
    path = unquote(cookie.attributes.get("path", "/")) or "/"
    if not (unquote(at.path) + "/").startswith(path.rstrip("/") + "/"):
        return bad(KEPT, f"it is set for {path}, and browsers ask below {at.path}", _PATH)
    if "secure" in cookie.attributes and at.scheme == "http" and at.hostname not in _SAFE:
        return bad(KEPT, "it is Secure, and browsers ask by http", _SECURE)
    return None


_SAFE = ("localhost", "127.0.0.1", "::1")
"""Here browsers take http for secure."""
_PATH = (
    "browsers keep it from PNS, so that every request is a new device: a proxy takes a prefix off the path, "
    'and the server must be told the prefix (uvicorn --root-path /api, or FastAPI(root_path="/api"))'
)
_SECURE = (
    "speak https; or a trusted proxy sends X-Forwarded-Proto: https where the browser speaks http: correct it"
)
_DROPPED = "a proxy drops Set-Cookie: let it pass Set-Cookie and Cookie on"
_NOT_KNOWN = (
    "a proxy drops or renames the cookie on its way to PNS; or nodes behind this address differ in "
    "session.secret; or another PNS answers there now and then"
)
