"""The way in to a PostgreSQL server, for the store and for the bus: which troubles waiting cannot mend.

Owns the sentences with the remedies of such troubles, and the driver's own words. Never repeats a part of a
URL: a URL has a password.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import asyncpg

_CERTIFICATE = (
    "{server} shows a certificate that is not trusted here. Correct sslrootcert or the host's name in {key},"
    " or the server's certificate."
)
_NO_TLS = "{server} speaks no TLS, and {key} asks for it. Turn TLS on there, or correct sslmode in {key}."
_OTHER_TLS = "{server} and PNS agree on no TLS. Compare what follows ? in {key} with the server's log."
_FILES = (
    "{key} needs a file that is not there or that PNS may not read. Correct sslrootcert, sslcert, sslkey,"
    " sslcrl or passfile in {key}, or let HOME name a folder that PNS may read."
)
_NO_USER = (
    "{key} names no user, and the system has no name for the user that PNS runs as. Write"
    " postgresql://user:password@host/database in {key}."
)
_ADDRESS = "{key} has an option or a name that cannot be used. Correct {key}."
_ENCODING = (
    "{server} keeps this database in {encoding}, which has no room for every letter. Make one with"
    " `createdb -T template0 -E UTF8`, let {key} name it, and take what is stored along with `pns copy`."
)
_PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
"""How TLS ends where the server went away."""
_READS_THE_ADDRESS = "_parse_connect"
"""How the names of asyncpg's functions begin that read the URL and files, before anything is connected."""
_PRIVATE = re.compile(r'"[^"]*"|\'[^\']*\'|\b\d+(\.\d+){3}\b')


class Unusable(asyncpg.InterfaceError):  # type: ignore[misc]
    """The address cannot be used: nothing was connected. `template` is the sentence with the remedy."""

    def __init__(self, template: str, words: str) -> None:
        super().__init__(words)
        self.template = template


class NotUTF8(asyncpg.InterfaceError):  # type: ignore[misc]
    """The database has another encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"server_encoding is {encoding}")
        self.encoding = encoding


async def connect(arguments: Callable[[], Mapping[str, Any]], **options: Any) -> Any:
    """A connection of asyncpg. Raises Unusable where the address is to blame, else asyncpg's errors.

    `arguments` reads the address, and may read files.
    """
    given = _read(arguments)
    try:
        return await asyncpg.connect(**given, **options)
    except (asyncpg.PostgresError, asyncpg.InternalClientError):
        raise
    except Exception as error:
        if _before_connecting(error.__traceback__) or not isinstance(error, OSError | asyncpg.InterfaceError):
            raise _unusable(error) from error
        raise


def require_utf8(connection: Any) -> None:
    """Raise NotUTF8 for a connection to a database that cannot hold every text."""
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise NotUTF8(encoding)


def by_hand(error: BaseException, *, server: str, key: str) -> str | None:
    """The sentence with the remedy, if waiting cannot mend the connection; else None.

    `server`: what the sentence calls the server. `key`: the setting with the URL.
    """
    template, encoding = None, ""
    if isinstance(error, Unusable):
        template = error.template
    elif isinstance(error, NotUTF8):
        template, encoding = _ENCODING, error.encoding
    elif isinstance(error, ssl.SSLCertVerificationError):
        template = _CERTIFICATE
    elif isinstance(error, ssl.SSLError) and not isinstance(error, _PASSING):
        template = _OTHER_TLS
    elif isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        template = _NO_TLS
    return template and template.format(server=server, key=key, encoding=encoding)


def words(error: BaseException) -> str:
    """The server's or the driver's own words, with the SQLSTATE, for operators: they may name a host."""
    if type(error) is asyncpg.InternalClientError:
        return "the connection broke"  # asyncpg's text is about asyncpg's own states
    told = " ".join(str(error).split()) or type(error).__name__
    code = getattr(error, "sqlstate", None)
    return f"{code}: {told}" if code else told


def without_names(told: str) -> str:
    """`told` without whatever names a host, a user, a database or a file, for everybody."""
    return _PRIVATE.sub('"…"', told)


def _read(arguments: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return arguments()
    except OSError as error:
        raise _unusable(error) from error


def _before_connecting(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name.startswith(_READS_THE_ADDRESS):
            return True
        traceback = traceback.tb_next
    return False


def _unusable(error: Exception) -> Unusable:
    if isinstance(error, OSError):
        return Unusable(_FILES, words(error))
    if str(error).startswith("root certificate file"):
        return Unusable(_FILES, words(error))
    if isinstance(error, KeyError) and "getpwuid" in str(error):
        return Unusable(_NO_USER, str(error.args[0]))
    return Unusable(_ADDRESS, type(error).__name__)
