"""The reader of URLs: the parts of a URL, told apart and percent-decoded, before anything is connected.

Each URL of the settings is read here, whatever the library below makes of its text. A text whose parts cannot
be told apart raises ValueError with the remedy, as the end of a sentence that begins with the setting's name.
No message repeats a piece of the text but a scheme. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

UNESCAPED = (
    "must be scheme://user:password@host:port; in the user and the password write "
    "@ as %40, : as %3A, / as %2F, ? as %3F, # as %23, [ as %5B, ] as %5D and % as %25"
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_PARTS = re.compile(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?")
_HOST = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{0,5}))?")
_NAME = re.compile(r"(?=.{1,253}\.?$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_OTHER_NAMES = {
    **dict.fromkeys(("postgres", "postgresql+asyncpg", "postgresql+psycopg", "pgsql"), "postgresql"),
    **dict.fromkeys(("sqlite3", "sqlite+aiosqlite", "sqlite+pysqlite", "file"), "sqlite"),
    **dict.fromkeys(("valkey", "redis+tcp"), "redis"),
    **dict.fromkeys(("valkeys", "redis+ssl"), "rediss"),
    **dict.fromkeys(("tcp", "mqtt+tcp"), "mqtt"),
    **dict.fromkeys(("ssl", "mqtt+ssl"), "mqtts"),
}
"""How other programs name a scheme, and its name here."""


class Host(NamedTuple):
    """A host's name, an IP address without brackets, or the path of a socket; `port` is None for no port."""

    name: str
    port: int | None


class Address(NamedTuple):
    """The parts of a URL, percent-decoded. `user` and `password` are empty where the URL has none.

    `path` is the text between the slash after the host and the `?`. `options`: the last value of each name
    after the `?`, without empty values.
    """

    scheme: str
    user: str
    password: str
    hosts: tuple[Host, ...]
    path: str
    options: Mapping[str, str]

    @property
    def host(self) -> Host:
        """The only host. Raises ValueError for none, and for several."""
        if len(self.hosts) > 1:
            raise ValueError("must name one host")
        if not self.hosts:
            raise ValueError("must name a host")
        if self.hosts[0].name.startswith("/"):
            raise ValueError("must name a host, not a socket")
        return self.hosts[0]


def scheme_of(text: str, known: Sequence[str]) -> str:
    """The scheme of `text`, one of `known`. Raises ValueError, which names another scheme."""
    scheme, separator, _ = text.partition("://")
    if separator and scheme in known:
        return scheme
    told = "must start with " + " or ".join(f"{each}://" for each in known)
    if (found := _SCHEME.match(text)) is not None:
        told += f", not with {found[1]}://"
    if (meant := _OTHER_NAMES.get(scheme.lower())) in known:
        told += f": here it is {meant}://"
    raise ValueError(told + ("; of a file, write sqlite:/// and then its path" if "sqlite" in known else ""))


def read(text: str, known: Sequence[str]) -> Address:
    """The parts of `text`, whose scheme is one of `known`. Raises ValueError."""
    scheme = scheme_of(text, known)
    if not text.isprintable() or " " in text:
        raise ValueError("must have neither spaces nor control characters: write a space as %20")
    found = _PARTS.fullmatch(text, len(scheme) + 3)
    if found is None or "@" in found[2]:
        raise ValueError(UNESCAPED)
    authority, path, query = found[1], found[2], found[3] or ""
    login, _, hosts = authority.rpartition("@")
    if re.search(r"[@\[\]]", login):
        raise ValueError(UNESCAPED)
    user, _, password = login.partition(":")
    return Address(
        scheme,
        decoded(user),
        decoded(password),
        read_hosts(hosts),
        decoded(path.removeprefix("/")),
        dict(_options(query)),
    )


def read_hosts(text: str) -> tuple[Host, ...]:
    """The hosts of `text`, comma-separated, each with its port or without. Raises ValueError."""
    return tuple(_host(each) for each in text.split(",")) if text else ()


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError(UNESCAPED)
    name = decoded(found[1])
    port = read_port(found[2]) if found[2] else None
    return Host(name[1:-1] if _is_bracketed(name) else _named(name), port)


def read_port(text: str) -> int:
    """The port in `text`. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65_536:
        return int(text)
    raise ValueError("must have a port from 1 to 65535")


def _is_bracketed(name: str) -> bool:
    if not name.startswith("["):
        return False
    try:
        IPv6Address(name[1:-1])
    except ValueError:
        raise ValueError("must have an IPv6 address between [ and ]") from None
    return True


def _named(name: str) -> str:
    if name.startswith("/") or is_host_name(name):
        return name
    raise ValueError(UNESCAPED)


def is_host_name(text: str) -> bool:
    """Whether `text` can be looked up: labels of up to 63 characters."""
    return _NAME.fullmatch(text) is not None


def decoded(text: str, *, plus: bool = False) -> str:
    """`text` without its percent-encoding; `plus`: `+` is a space. Raises ValueError."""
    if _STRAY_PERCENT.search(text):
        raise ValueError(UNESCAPED)
    try:
        plain = (unquote_plus if plus else unquote)(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("must be UTF-8 after %: write é as %C3%A9") from None
    if "\0" in plain:
        raise ValueError("must not have a NUL, %00")
    return plain


def _options(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"must have name=value after ? and &, and {UNESCAPED}")
        if value:
            yield decoded(name, plus=True), decoded(value, plus=True)
