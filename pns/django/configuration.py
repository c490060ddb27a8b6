"""The setting `PNS` of a Django project: PNS inside the project's ASGI server, or a service beside it.

Every error names the key of `PNS` and the value to write instead. No error shows a value, because a value may
be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from pns.errors import SettingsError
from pns.settings import Settings, urls

TOLD = ("on_unseen", "on_seen", "on_read", "on_device_removed")
"""The keys for functions that are told, as of `PNS`."""
EMBEDDED = ("store", "path", "settings", "database", *TOLD)
SERVICE = ("url", "key", "public_url", "database")
"""The keys of the two forms."""

FORMS = (
    'PNS = {"store": "sqlite:////var/lib/shop/pns.db"} for PNS inside this project, or '
    'PNS = {"url": "http://127.0.0.1:8080", "key": "…"} for a service beside the project'
)


class Embedded(NamedTuple):
    """PNS inside the project's own ASGI server, at `path`. `database`: the alias with pns_outgoing."""

    store: str
    path: str
    settings: Settings
    database: str
    told: Mapping[str, Callable[..., Any]] = MappingProxyType({})

    @property
    def public_url(self) -> str:
        """The address of PNS for browsers, without the project's own prefix."""
        return self.path


class Beside(NamedTuple):
    """A PNS beside the project. `url`: for this project. `public_url`: for browsers; a URL, or a path of the
    project's own origin.
    """

    url: str
    key: str
    public_url: str
    database: str


def configuration() -> Embedded | Beside | None:
    """The setting `PNS`; None for a project without the setting. Raises SettingsError."""
    given = getattr(django_settings, "PNS", None)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise SettingsError(f"PNS must be a dict: write {FORMS}")
    _check_form(given)
    if "store" in given:
        return Embedded(
            store=_text(given, "store", urls.store_url),
            path=_text(given, "path", _path, default="/pns"),
            settings=_settings(given.get("settings", {})),
            database=_database(given),
            told={name: _function(name, given[name]) for name in TOLD if given.get(name) is not None},
        )
    url = _text(given, "url", _url)
    return Beside(
        url=url,
        key=_text(given, "key", _key),
        public_url=_text(given, "public_url", _public_url, default=url),
        database=_database(given),
    )


def required() -> Embedded | Beside:
    """The setting `PNS`. Raises SettingsError, for a project without the setting too."""
    found = configuration()
    if found is None:
        raise SettingsError(f"PNS is missing in the settings: write {FORMS}")
    return found


def _check_form(given: Mapping[str, Any]) -> None:
    if "store" in given and "url" in given:
        raise SettingsError('PNS has "store" and "url": leave one out, "url" for PNS inside this project')
    if "store" not in given and "url" not in given:
        raise SettingsError(f'PNS has neither "store" nor "url": write {FORMS}')
    form = EMBEDDED if "store" in given else SERVICE
    for name in given:
        if name not in form:
            raise SettingsError(f"PNS[{name!r}] {_unknown(str(name), form)}")
    if "url" in given and "key" not in given:
        raise SettingsError('PNS["key"] is missing: write a key of app.api_keys of that PNS')


def _unknown(name: str, form: tuple[str, ...]) -> str:
    other = SERVICE if form is EMBEDDED else EMBEDDED
    if name in other:
        return f'belongs to PNS with "{other[0]}": leave it out, or leave "{form[0]}" out'
    near = difflib.get_close_matches(name, form, 1)
    meant = f": did you mean {near[0]!r}?" if near else "."
    return f"is no key of PNS{meant} The keys are {', '.join(form)}"


def _text(given: Mapping[str, Any], name: str, check: Any, *, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise SettingsError(f'PNS["{name}"] must be a text, not {type(value).__name__}')
    try:
        return str(check(value))
    except ValueError as error:
        raise SettingsError(f'PNS["{name}"] {error}') from None


def _path(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or "//" in text or set(text) & set("?# "):
        raise ValueError('must begin with a slash and not end with one, such as "/pns"')
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError('must be the address of PNS, such as "http://127.0.0.1:8080"')
    return text.rstrip("/")


def _public_url(text: str) -> str:
    try:
        return _path(text) if text.startswith("/") else _url(text)
    except ValueError:
        raise ValueError(
            'must be the address of PNS for browsers: "https://app.example/pns", or a path such as "/pns"'
        ) from None


def _key(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be a key of app.api_keys of that PNS: `pns keygen` makes one")
    return text


def _database(given: Mapping[str, Any]) -> str:
    name = _text(given, "database", str, default=DEFAULT_DB_ALIAS)
    if name not in django_settings.DATABASES and name != DEFAULT_DB_ALIAS:
        raise SettingsError(
            f'PNS["database"] must be a name of DATABASES: {", ".join(django_settings.DATABASES)}'
        )
    return name


def _function(name: str, given: Any) -> Callable[..., Any]:
    try:
        found = import_string(given) if isinstance(given, str) else given
    except ImportError as error:
        raise SettingsError(f'PNS["{name}"]: {error}') from None
    if not callable(found):
        raise SettingsError(f'PNS["{name}"] must be a function, or where it is: "shop.mails.{name}"')
    called: Callable[..., Any] = found
    return called


def _settings(given: Any) -> Settings:
    if isinstance(given, Settings):
        return given
    if not isinstance(given, Mapping):
        raise SettingsError('PNS["settings"] must be a pns.Settings, or a dict such as {"push": {…}}')
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f'PNS["settings"]: {error}; config.toml of PNS has every key') from None
