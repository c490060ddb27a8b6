"""The proxy on the way out: by the settings, else by the machine's environment.

PNS uses no proxy of the environment. The doctor alone reads these variables, and prints no password.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pns.runtime.bracketed import bracketed
from pns.settings import Settings

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


def way_out(settings: Settings, environ: Mapping[str, str]) -> str:
    """The end of the remedy for a host of the internet without an answer."""
    if settings.outbound.proxy:
        return f"; by way of {_place(settings.outbound.proxy)}, outbound.proxy, which must pass PNS on"
    for name in VARIABLES:
        if place := _place(environ.get(name, "")):
            return f"; {name} names a proxy on this machine, which PNS uses only if it is told: {_set(place)}"
    return "; if a proxy of your network is the only way out, set outbound.proxy to its URL"


def _set(place: str) -> str:
    return f'set outbound.proxy = "{place}", with user and password if it wants them'


def _place(url: str) -> str:
    """Scheme, host and port of `url`, or nothing."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    return f"{parts.scheme}://{bracketed(host)}" + (f":{port}" if port else "")
