"""The HTML of the bell: the script with the page's nonce, and the element with its attributes.

Every value is escaped, also a value that is marked as safe: an attribute holds text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.middleware.csrf import get_token
from django.urls import get_script_prefix
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from pns.django.configuration import required

ATTRIBUTES = (
    *("url", "src", "tabs", "badge", "preferences", "max", "theme", "toast", "push", "push-worker"),
    *("csrf-header", "sound", "title-badge", "app-badge", "frames"),
)
"""Those of docs/bell.md, beside `text-…`, and `lang` and the like, which every element has."""
GLOBAL = ("id", "class", "lang", "dir", "slot", "style", "title", "hidden")
_NONE_OF_THEM = "pns_bell has no attribute {name}: its attributes are {names}, text_… and {others}"


def bell(request: Any, attributes: Mapping[str, Any], *, nonce: object = None) -> SafeString:
    """The bell's script and element. `attributes`: with "_" for "-"; True for one without a value; None and
    False for none. `csrf_header=True` is Django's own header, with the token. Raises ValueError for an
    unknown attribute.
    """
    given = {name.replace("_", "-"): value for name, value in attributes.items()}
    for name in given:
        if name not in (*ATTRIBUTES, *GLOBAL) and not _is_free(name):
            raise ValueError(
                _NONE_OF_THEM.format(name=name, names=_listed(ATTRIBUTES), others=_listed(GLOBAL))
            )
    before = ""
    if given.get("csrf-header") is True:
        given["csrf-header"] = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-")
        before = f'<meta name="csrf-token"{_attribute("content", _token(request))}>'
    script = {"type": "module", "src": f"{address()}/bell.js", "nonce": _nonce(request, nonce)}
    return mark_safe(
        f"{before}<script{_attributes(script)}></script><pns-bell{_attributes(given)}></pns-bell>"
    )


def address() -> str:
    """Where a page of this project finds PNS."""
    public = required().public_url
    if not public.startswith("/"):
        return public
    return str(get_script_prefix()).rstrip("/") + public


def _is_free(name: str) -> bool:
    return name.startswith(("text-", "data-", "aria-")) and not name.endswith("-")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("-", "_") for name in names)


def _attributes(given: Mapping[str, Any]) -> str:
    return "".join(_attribute(name, value) for name, value in given.items())


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _nonce(request: Any, nonce: object) -> str | None:
    """The nonce of django-csp, or of Django 6. Both are made when asked for, and are false until then."""
    for found in (nonce, getattr(request, "csp_nonce", None), getattr(request, "_csp_nonce", None)):
        if found is not None and (text := str(found)):
            return text
    return None


def _token(request: Any) -> str:
    if request is None:
        raise ValueError(
            'csrf_header=True needs the request: render with it, or write csrf_header="X-CSRFToken"'
        )
    return str(get_token(request))
