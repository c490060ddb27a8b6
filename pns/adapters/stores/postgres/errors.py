"""PostgreSQL's errors and their meaning to PNS: the end of a batch, another try, a sentence for each.

No sentence names a host, a user or a password, for a client may read the sentence. At the start, for an
operator, the sentence begins with the server's address and ends with the server's own words.
"""

from __future__ import annotations

import asyncpg

from pns.adapters.stores.group_commit import Full, Unknown
from pns.errors import StoreUnavailable, StoreUnusable
from pns.runtime.postgres import by_hand, without_names, words

_AWAY = "The store's server is away. PNS goes on by itself when it is back."
_SLOW = "The store's server does not answer in time. PNS goes on when it does."
_BUSY = "The store is locked by another program. PNS goes on when it lets go."
_REFUSED = "The store's server lets nobody in with this name and password. Correct store.url."
_UNKNOWN = "The store's server went away meanwhile. Repeat the request with its notification_ids."
_DISK_FULL = "53100"
_SENTENCES = {
    "08": _AWAY,
    "53": "The store's server has no room for another connection or more data. Give it more; PNS goes on.",
    _DISK_FULL: "The store's disk is full. Free some space; PNS goes on by itself.",
    "57": _AWAY,
    "57014": _SLOW,
    "58": "The store's disk failed to read or write. Look at the server's log; PNS retries.",
    "XX": "The store's data is damaged. Look at the server's log, and restore it from a backup.",
    "25006": "The store's server can only be read. It is a standby: point store.url at the one that writes.",
    "25P03": _SLOW,
    "28": _REFUSED,
    "3D000": "The store's database is not there. Make it with `createdb`, or correct store.url.",
    "42501": "The store's user may not do what PNS must. Let it own the schema pns, or create it.",
    "42P01": "The store's tables are not there. Run `pns migrate`, or restore a backup.",
    "3F000": "The store's tables are not there. Run `pns migrate`, or restore a backup.",
    "55P03": _BUSY,
}
_BY_HAND = ("28", "3D000", "42501")
_WORTH_ANOTHER_TRY = {"40001", "40P01", "0A000", "22012"}
"""With the division by zero of `append`, whose user chose something since the append was decided."""
_SAME_CONNECTION = {"55P03", "57014", _DISK_FULL}

ENGINE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""The errors of the engine, the engine's client and the network between."""


def concerns_all(error: BaseException) -> bool:
    """Whether the engine itself is away. Trying a part of the batch again is of no use then."""
    return _sentence(error) is not None


def lost(error: BaseException) -> bool:
    """Whether a new connection must replace this connection."""
    return concerns_all(error) and _code(error) not in _SAME_CONNECTION


def uncertain(error: BaseException) -> bool:
    """Whether the server's answer is missing: the statement may have run."""
    return lost(error) and _code(error)[:2] in ("", "08")


def worth_another_try(error: BaseException) -> bool:
    """Whether this transaction was undone for a conflict with another transaction or a migration."""
    return _code(error) in _WORTH_ANOTHER_TRY


def unavailable(error: BaseException) -> StoreUnavailable:
    """The caller's error for `error`."""
    told = words(error)
    kind = Full if _code(error) == _DISK_FULL else StoreUnavailable
    return kind(_told(error), words=told, public_words=without_names(told))


def refusal(error: BaseException, place: str) -> StoreUnavailable:
    """The operator's error at a start, with `place`: StoreUnusable where waiting cannot mend the trouble."""
    hopeless = _by_hand(error) is not None or _code(error).startswith(_BY_HAND)
    kind = StoreUnusable if hopeless else StoreUnavailable
    return kind(f"{place}: {_told(error)} ({words(error)})")


def unknown() -> Unknown:
    """The caller's error when the connection broke and the write may have been stored."""
    return Unknown(_UNKNOWN)


def _told(error: BaseException) -> str:
    return _sentence(error) or f"The store refused a statement ({type(error).__name__})."


def _by_hand(error: BaseException) -> str | None:
    return by_hand(error, server="The store's server", key="store.url")


def _sentence(error: BaseException) -> str | None:
    code = _code(error)
    if code:
        return _SENTENCES.get(code) or _SENTENCES.get(code[:2])
    if (remedy := _by_hand(error)) is not None:
        return remedy
    if isinstance(error, TimeoutError):
        return _SLOW
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return _SENTENCES["25006"]
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return None  # a parameter that PostgreSQL has no value for
    return _AWAY


def _code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""
