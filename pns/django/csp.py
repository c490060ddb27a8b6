"""Whether a project's Content Security Policy lets the bell run, by Django 6 or by django-csp."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning

_SELF = "'self'"
_NONCES = ("<CSP_NONCE_SENTINEL>", "csp.nonce")
"""The words for a nonce in the settings: of Django 6, and of django-csp 4."""
_OR = MappingProxyType({"script-src": ", or a nonce, which pns_bell writes", "connect-src": ""})


def check(public_url: str) -> Iterator[CheckMessage]:
    """A warning for each directive against the bell."""
    for name, policy in _policies():
        url = urlsplit(public_url)
        sources = [f"{url.scheme}://{url.netloc}", url.netloc] if url.netloc else [_SELF]
        for directive in ("script-src", "connect-src"):
            allowed = _sources(policy, directive)
            if allowed is None or _allows(allowed, directive, sources):
                continue
            yield Warning(
                f"the policy {name} stops the bell: {directive} does not allow PNS",
                f'Add "{sources[0]}" to {directive} of {name}{_OR[directive]}.',
                id="pns.W012",
            )


def _policies() -> Iterator[tuple[str, Mapping[str, Any]]]:
    own = getattr(settings, "SECURE_CSP", None)
    if own:
        yield "SECURE_CSP", own
    newer = getattr(settings, "CONTENT_SECURITY_POLICY", None)
    if newer:
        yield "CONTENT_SECURITY_POLICY", newer.get("DIRECTIVES", {})
    older = {
        name: getattr(settings, f"CSP_{name.replace('-', '_').upper()}", None)
        for name in ("default-src", "script-src", "connect-src")
    }
    if any(older.values()):
        yield "CSP_…", {name: value for name, value in older.items() if value is not None}


def _sources(policy: Mapping[str, Any], directive: str) -> list[str] | None:
    """The sources of a directive, or None without a limit."""
    given = policy.get(directive, policy.get("default-src"))
    if given is None:
        return None
    parts: Iterable[Any] = given.split() if isinstance(given, str) else given
    return [_word(part) for part in parts]


def _word(part: Any) -> str:
    # The object of django-csp 4 is told by its module: django-csp need not be installed.
    return "csp.nonce" if type(part).__module__.startswith("csp.") else str(part).rstrip("/")


def _allows(allowed: list[str], directive: str, sources: list[str]) -> bool:
    if directive == "script-src":
        if any(word in _NONCES for word in allowed):
            return True
        if "'strict-dynamic'" in allowed:  # addresses do not count then
            return False
    return any(word in ("*", "https:", "http:") or word in sources for word in allowed)
