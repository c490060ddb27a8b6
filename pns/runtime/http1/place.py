"""Where a request goes, and the bytes of its head (RFC 9112 §3, §5).

A URL in its plain form, which is what most settings and endpoints hold, is read here. Every other URL is read
by the HTTP library, which is loaded then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, NamedTuple, Self

from pns.runtime.http1.trouble import BadRequest

if TYPE_CHECKING:
    import httpx2 as httpx

Header = tuple[bytes, bytes]

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?"
    r"(/(?!\.)(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|/(?!\.)|%[0-9A-Fa-f]{2})*)?"
    r"(\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
"""A URL that is sent as it stands. The groups: scheme, host, port, path, query with its question mark.

No segment of the path begins with a dot, for "." and ".." would be taken out.
"""
_TARGET = re.compile(rb"[!-~]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value may hold. Obsolete text above 0x7f may pass, as it came from a device."""
_BAD_HEADER = "a header holds a byte that no header may hold, such as CR, LF or NUL"


class Place(NamedTuple):
    """A resource of a server. `host` is a name or an address, without brackets.

    `authority`: the value of `Host`. `target`: the path and the query, from the first slash on.
    """

    tls: bool
    host: str
    port: int
    authority: bytes
    target: bytes

    @classmethod
    def parse(cls, url: str) -> Self:
        """As `of`. Raises ValueError for a text that is no such URL."""
        plain = _PLAIN.fullmatch(url)
        if plain is None or not _is_host(plain[2]):
            return cls._by_library(url)
        scheme, host, digits, path, query = plain.groups()
        usual = _PORTS[scheme]
        port = int(digits or usual)
        authority = host if port == usual else f"{host}:{port}"
        target = (path or "/") + (query or "")
        return cls(scheme == "https", host, port, authority.encode(), target.encode())

    @classmethod
    def of(cls, url: httpx.URL) -> Self:
        """The place of an absolute URL of http or https. A user in the URL is left out."""
        host = url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
        return cls(url.scheme == "https", host, port, url.netloc, url.raw_path)

    @classmethod
    def _by_library(cls, url: str) -> Self:
        import httpx2 as httpx

        try:
            read = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        if read.scheme not in _PORTS or not read.host:
            raise ValueError("must be an absolute URL that begins with http:// or https://")
        return cls.of(read)

    @property
    def server(self) -> Server:
        return Server(self.tls, self.host, self.port)


class Server(NamedTuple):
    """What a connection leads to: places of one server share connections."""

    tls: bool
    host: str
    port: int


def _is_host(name: str) -> bool:
    """Whether `name`, if its last label is a number, is an IPv4 address."""
    if not name[-1].isdigit() or not name.rpartition(".")[2].isdigit():
        return True
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True


def head(method: str, place: Place, headers: Iterable[Header]) -> bytes:
    """The request up to its body: the request line, `Host`, and `headers` in their order.

    Raises BadRequest where a byte would change the meaning of another line.
    """
    lines = [b"%b %b HTTP/1.1" % (method.encode(), place.target), b"host: " + place.authority]
    if not _TARGET.fullmatch(place.target) or not _TARGET.fullmatch(place.authority):
        raise BadRequest("the URL holds a character that must be written as %XX")
    named = list(headers)
    names = [name for name, _ in named]
    # One look at all of them: a byte is forbidden wherever the byte stands.
    if names and not (all(names) and _NAME.fullmatch(b"".join(names))):
        raise BadRequest(_BAD_HEADER)
    if _FORBIDDEN.search(b"".join([value for _, value in named])):
        raise BadRequest(_BAD_HEADER)
    return b"\r\n".join([*lines, *[b"%b: %b" % header for header in named], b"\r\n"])


def written(method: str, place: Place, headers: Mapping[str, str], *, body: bytes) -> bytes:
    """The whole request: `head` with `headers`, which are of ASCII characters, and the length of `body`."""
    every = {**headers, "content-length": str(len(body))}
    named = [(name.encode("ascii"), value.encode("ascii")) for name, value in every.items()]
    return head(method, place, named) + body
