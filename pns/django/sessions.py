"""Django's sessions as PNS reads the sessions: a question of PNS changes nothing and extends nothing.

The browser never sees an answer to PNS. A session with a new key would therefore end the login, and a session
that is extended by rechecks would never end. The devices of a session stand in a second session of the same
engine, under a key made of the first: a page that changes its session at the same time loses nothing.
"""

from __future__ import annotations

import hashlib
import logging
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, UpdateError

log = logging.getLogger(__name__)

_DEVICES = "pns_devices"
_MOST_DEVICES = 8
"""A browser is a single device. The first requests of a browser, sent at once, may each be given an id."""
_SALT = b"pns.device:"
_MOST_DEVICE = 64


class _Unchanged:
    """The part of a session that keeps the session as it is in the store."""

    def save(self, must_create: bool = False) -> None:
        """Nothing is saved, and so nothing is extended."""

    def create(self) -> None:
        """The session keeps its key."""

    def delete(self, session_key: str | None = None) -> None:
        """A session that does not count any more is left to the browser's own next request."""

    def cycle_key(self) -> None:
        """The session keeps its key, for a secret of SECRET_KEY_FALLBACKS too."""


def store() -> Any:
    """The class of the project's sessions."""
    return import_module(settings.SESSION_ENGINE).SessionStore


def unchanged(session_key: str | None) -> Any:
    """The session `session_key`, to be read alone."""
    kind = store()
    # By the same name: Django signs the data of a session with the name of the class.
    read = type(kind.__name__, (_Unchanged, kind), {"__qualname__": kind.__qualname__})
    return read(session_key)


def remember(session_key: str | None, device_id: str) -> None:
    """Keep a device of a session, as long as the engine keeps sessions. Trouble is logged."""
    if not session_key or not 0 < len(device_id) <= _MOST_DEVICE or _has_no_rows():
        return
    try:
        kept = store()(_key(session_key))
        devices = [*kept.get(_DEVICES, [])]
        if device_id in devices:
            return
        is_new = kept.session_key is None
        kept[_DEVICES] = [*devices, device_id][-_MOST_DEVICES:]
        # A session that is not in the store has lost its key by the reading.
        kept._session_key = _key(session_key)
        kept.save(must_create=is_new)
    except (CreateError, UpdateError):
        pass  # A simultaneous question has kept it, or a logout has ended it.
    except Exception:
        log.warning("the device of a session cannot be kept: its logout will end all devices", exc_info=True)


def forget(session_key: str | None) -> list[str]:
    """The devices of a session, which are not kept from now on. Trouble is logged."""
    if not session_key or _has_no_rows():
        return []
    try:
        kept = store()(_key(session_key))
        devices = [str(each) for each in kept.get(_DEVICES, [])]
        if devices:
            kept.delete(_key(session_key))
        return devices
    except Exception:
        log.warning("the device of a session cannot be read: its logout ends all devices", exc_info=True)
        return []


def _has_no_rows() -> bool:
    """Whether a session is nothing but its cookie, so that no second session can be kept."""
    return str(settings.SESSION_ENGINE).endswith(".signed_cookies")


def _key(session_key: str) -> str:
    # Letters and digits alone, and no longer than Django's own: each engine takes such a key.
    return hashlib.sha256(_SALT + session_key.encode()).hexdigest()[:32]
