"""The rules for the text of a setting: origins, networks, header names, URLs, keys.

Each function takes a text and returns the form for comparing. For a wrong text it raises ValueError with the
allowed values, as the end of a sentence that begins with the setting's name. No message repeats a value,
because a value may be a secret. Pure: nothing is looked up, opened or connected to.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from pns.settings.address import is_host_name, read_hosts

Constraint = Callable[[str], str]

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://{_HOST}(?::(0|[1-9][0-9]{{0,4}}))?")
_HOST_AND_PORT = re.compile(rf"{_HOST}(?::([0-9]{{0,5}}))?")
_WEB_URL = re.compile(r"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")

NEVER_FORWARDED = frozenset(
    (
        # Of one hop only (RFC 9110 §7.6.1), or framing of a message that PNS does not pass on.
        *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authentication-info"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-encoding", "content-length", "http2-settings"),
        # PNS sends these headers itself. From a device they would be a lie or a second opinion.
        *("accept", "accept-encoding", "forwarded", "host"),
    )
)
_NEVER_FORWARDED_PREFIXES = ("x-forwarded-", "x-pns-", "sec-websocket-")


def is_never_forwarded(name: str) -> bool:
    """Whether the application is never asked with the header `name`, lower case, of a device's request."""
    return name in NEVER_FORWARDED or name.startswith(_NEVER_FORWARDED_PREFIXES)


class Origin(NamedTuple):
    """An origin of RFC 6454, lower case; `port` is None for the scheme's default, or for no given port."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")


def parse_origin(text: str) -> Origin | None:
    """The origin in `text`, or None: no user, path, query, pattern or IDN, and never `null`."""
    # Lower case only after the ASCII check: U+212A becomes a plain k.
    match = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    scheme, host, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > 65_535:
        return None
    return Origin(scheme, host, None if port == DEFAULT_PORTS.get(scheme) else port)


def parse_host(text: str) -> tuple[str, int | None] | None:
    """Name and port of a `Host` header, lower case, IPv6 in brackets; None for any other text."""
    match = _HOST_AND_PORT.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    host, digits = match.groups()
    return host, int(digits) if digits else None


def origin(text: str) -> str:
    """An entry of `server.allowed_origins`."""
    if "*" in text:
        raise ValueError("takes no patterns: with * any page could read its visitors' notifications")
    found = parse_origin(text)
    if found is not None:
        return str(found)
    if parse_origin(text.rstrip("/")) is not None:
        raise ValueError(f'must not end in a slash: write "{text.rstrip("/")}"')
    raise ValueError('must be an origin such as "https://app.example.com" or "http://localhost:3000"')


def network(text: str) -> str:
    """An entry of `server.trusted_proxies`."""
    try:
        ip_network(text)
    except ValueError:
        allowed = 'must be an IP address or a network such as "10.0.0.7" or "10.0.0.0/8"'
        raise ValueError(allowed) from None
    return text


def bind_host(text: str) -> str:
    """`server.host`."""
    if is_host_name(text) or _is_address(text):
        return text
    raise ValueError('must be a host name or an IP address such as "127.0.0.1", "0.0.0.0" or "::"')


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def header_name(text: str) -> str:
    """An entry of `auth.forward_headers`; returned in lower case."""
    name = text.lower() if text.isascii() else ""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError('must be a header name such as "cookie"')
    if is_never_forwarded(name):
        raise ValueError("must not be a header of the connection itself or one that PNS sets")
    return name


def method(text: str) -> str:
    """`auth.method`."""
    if re.fullmatch(r"[A-Z]{1,16}", text) and text not in ("CONNECT", "HEAD", "TRACE"):
        return text
    raise ValueError('must be an HTTP method whose answer has a body, such as "POST" or "GET"')


def web_url(text: str) -> str:
    """An http(s) URL, or nothing."""
    if text and not (re.fullmatch(r"[!-~]+", text) and _is_web_url(text)):
        raise ValueError(
            "must be a URL that starts with http:// or https:// and a host, without user and fragment"
        )
    return text


def public_url(text: str) -> str:
    """`server.public_url`; returned without a slash at the end."""
    if text and ("?" in web_url(text) or text.count("//") != 1):
        raise ValueError('must be a URL and a path, without a query, such as "https://app.example.com/pns"')
    return text.rstrip("/")


def webhook_secret(text: str) -> str:
    """`webhook.secret`, as Standard Webhooks writes one."""
    try:
        key = b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not (text.startswith("whsec_") and 24 <= len(key) <= 64):
        raise ValueError(
            'must be "whsec_" and the base64 of 24 to 64 bytes; leave it out, and PNS makes one, which '
            "`pns webhook secret` prints"
        )
    return text


def _is_web_url(text: str) -> bool:
    found = _WEB_URL.fullmatch(text)
    try:
        hosts = read_hosts(found[1]) if found is not None else ()
    except ValueError:
        return False
    return len(hosts) == 1 and not hosts[0].name.startswith("/")


def optional(constraint: Constraint) -> Constraint:
    """The constraint, or nothing at all."""
    return lambda text: constraint(text) if text else text


def api_key(text: str) -> str:
    """An entry of `app.api_keys`."""
    if re.fullmatch(r"[!-~]{16,1024}", text):
        return text
    raise ValueError(
        "must have at least 16 characters, printable ASCII without spaces; `pns keygen` makes one"
    )


def claim_name(text: str) -> str:
    """`app.oauth2.audience_claim`, `app.oauth2.scope_claim`."""
    if re.fullmatch(r"[!-~]{1,255}", text):
        return text
    raise ValueError('must be the name of a claim of the token, such as "aud", "client_id" or "roles"')


def cookie_name(text: str) -> str:
    """`session.cookie_name`."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        return text
    raise ValueError("must have 1 to 64 letters, digits, `_` or `-`")
