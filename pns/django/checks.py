"""The system checks of "pns.django": each names the setting to change, and what to write there.

The checks read settings alone, and the names of files. No check asks PNS, the database or the network;
`manage.py pns_doctor` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections
from django.urls import NoReverseMatch, reverse

from pns.django import csp
from pns.django.configuration import Beside, Embedded, configuration
from pns.errors import SettingsError

TAG = "pns"


@register(TAG)  # type: ignore[untyped-decorator]
def check_pns(app_configs: Any, **more: Any) -> list[CheckMessage]:
    """All checks. A project without the setting `PNS` only writes pns_outgoing, and has nothing to check."""
    try:
        form = configuration()
    except SettingsError as error:
        return [Error(str(error), id="pns.E001")]
    if form is None:
        return []
    found = [*_installed(), *_cookie(form), *csp.check(form.public_url)]
    return [*found, *(_embedded(form) if isinstance(form, Embedded) else _beside())]


@register(Tags.database)  # type: ignore[untyped-decorator]
def check_table(app_configs: Any, databases: Any = None, **more: Any) -> list[CheckMessage]:
    """Whether the table pns_outgoing was migrated: `manage.py check --database default`."""
    try:
        form = configuration()
        # The command that makes the table must not be told that the table is missing.
        if form is None or form.database not in (databases or ()) or sys.argv[1:2] == ["migrate"]:
            return []
        if "pns_outgoing" in connections[form.database].introspection.table_names():
            return []
    except (SettingsError, DatabaseError):
        return []  # said by others
    remedy = f"Run `manage.py migrate pns --database {form.database}`."
    return [Warning("the table pns_outgoing is missing", remedy, id="pns.W013")]


def _installed() -> Iterator[CheckMessage]:
    for name, why in (
        ("django.contrib.auth", "PNS asks Django for the user of a browser"),
        ("django.contrib.sessions", "the login of a browser is its session"),
    ):
        if not apps.is_installed(name):
            yield Error(f"{name} is not installed: {why}", f'Add "{name}" to INSTALLED_APPS.', id="pns.E002")
    names = list(settings.INSTALLED_APPS)
    ours = next((place for place, name in enumerate(names) if name.startswith("pns.django")), 0)
    for name in ("django.contrib.auth", "django.contrib.contenttypes"):
        if name in names and names.index(name) > ours:
            yield Warning(
                f'"pns.django" stands before "{name}" in INSTALLED_APPS',
                f'Move "pns.django" below "{name}": its permission is made with the permissions of auth.',
                id="pns.W003",
            )


# ── the cookie ────────────────────────────────────────────────────────────────────────────────────────


def _cookie(form: Embedded | Beside) -> Iterator[CheckMessage]:
    """Whether browsers send the session's cookie to PNS."""
    name = settings.SESSION_COOKIE_NAME
    url = urlsplit(form.public_url)
    if not url.netloc:
        path = settings.SESSION_COOKIE_PATH
        if not (form.public_url + "/").startswith(path.rstrip("/") + "/"):
            yield Error(
                f"browsers do not send the cookie {name} to PNS at {form.public_url}",
                f"Set SESSION_COOKIE_PATH = '/', or serve PNS below {path}.",
                id="pns.E004",
            )
        return
    yield from _domain(name, url.hostname or "")
    if settings.SESSION_COOKIE_SECURE and url.scheme == "http":
        yield Error(
            f"browsers do not send the cookie {name} to {form.public_url}: SESSION_COOKIE_SECURE is set",
            'Set PNS["public_url"] to the https address of PNS.',
            id="pns.E006",
        )


def _domain(name: str, host: str) -> Iterator[CheckMessage]:
    domain = (settings.SESSION_COOKIE_DOMAIN or "").lstrip(".")
    if domain:
        if host != domain and not host.endswith(f".{domain}"):
            yield Error(
                f"browsers do not send the cookie {name} of {domain} to PNS at {host}",
                "Set SESSION_COOKIE_DOMAIN to a domain that has both hosts.",
                id="pns.E005",
            )
    elif not _is_own(host):
        lax = settings.SESSION_COOKIE_SAMESITE or "Lax"
        yield Warning(
            f"browsers send the cookie {name} (SameSite={lax}) to the project's own host, not to {host}",
            'Let the proxy serve PNS below a path of the project, and set PNS["public_url"] to it: "/pns". '
            'Or, for two hosts of one domain, set SESSION_COOKIE_DOMAIN, such as ".example.com".',
            id="pns.W005",
        )


def _is_own(host: str) -> bool:
    """Whether the project may have this host itself. Cookies do not tell ports apart."""
    allowed = settings.ALLOWED_HOSTS or (["localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    return any(
        each == "*" or host == each.strip("[]") or (each.startswith(".") and f".{host}".endswith(each))
        for each in allowed
    )


# ── the two forms ─────────────────────────────────────────────────────────────────────────────────────


def _embedded(form: Embedded) -> Iterator[CheckMessage]:
    names = list(settings.INSTALLED_APPS)
    if sys.argv[1:2] == ["runserver"] and "daphne" not in names:
        yield Warning(
            "runserver speaks WSGI, and does not run PNS",
            'Install daphne, put "daphne" first in INSTALLED_APPS, and set ASGI_APPLICATION. Or run '
            f"`uvicorn {_asgi_module()}:application --reload`. Until then, notifications wait.",
            id="pns.W007",
        )
    elif "daphne" in names and getattr(settings, "ASGI_APPLICATION", None) is None:
        yield Error(
            "runserver of daphne has no ASGI_APPLICATION",
            f'Set ASGI_APPLICATION = "{_asgi_module()}.application".',
            id="pns.E008",
        )
    source = _source(_asgi_module())
    if source is not None and "pns" not in source:
        yield Warning(
            f"{_asgi_module()} does not serve PNS at {form.path}",
            "Write there: `from pns.django import asgi`, and last `application = asgi(application)`.",
            id="pns.W009",
        )


def _beside() -> Iterator[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        reverse("pns-auth")
    except NoReverseMatch:
        yield Warning(
            'no URL is named "pns-auth": PNS asks there for the user of a browser (auth.url)',
            'Add `path("pns-auth", pns.django.pns_auth, name="pns-auth")` to the urlpatterns.',
            id="pns.W010",
        )
    if settings.SECURE_SSL_REDIRECT and not (
        settings.SECURE_PROXY_SSL_HEADER or settings.SECURE_REDIRECT_EXEMPT
    ):
        yield Warning(
            "SECURE_SSL_REDIRECT sends PNS's own question elsewhere, if auth.url is http",
            r"Set SECURE_REDIRECT_EXEMPT = [r'^pns-auth$'], or SECURE_PROXY_SSL_HEADER.",
            id="pns.W011",
        )


def _asgi_module() -> str:
    """The module of ASGI_APPLICATION, or asgi.py beside the other modules of the project."""
    named = getattr(settings, "ASGI_APPLICATION", None)
    if named:
        return str(named).rpartition(".")[0]
    beside = (
        getattr(settings, "WSGI_APPLICATION", None) or getattr(settings, "ROOT_URLCONF", None) or "shop.urls"
    )
    package = str(beside).partition(".")[0]
    return f"{package}.asgi"


def _source(module: str) -> str | None:
    """The text of a module, which is not run; None where nobody can tell."""
    try:
        spec = find_spec(module)
        return Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin else None
    except (ImportError, ValueError, OSError, UnicodeError):
        return None
