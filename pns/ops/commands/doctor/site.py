"""Are the pages and PNS of one site? Only then do browsers send the login's cookie, whatever PNS allows.

A site is a scheme and a registered name. Only a public list knows the registered names (co.uk is none), so
two sibling names count as the same site, with a warning in the answer. Pure: nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.settings import Settings
from pns.settings.rules import Origin, parse_origin
from pns.web.cookie import needs_https

COOKIE_NAME = "session.cookie_name"
SITE = "pages and PNS are of one site"


def check_site(settings: Settings, *, url: str, origin: str) -> Iterator[Finding]:
    """Compare the address where devices reach PNS with `origin`, or else with each of the allowed origins."""
    parts = urlsplit(url)
    own = parse_origin(f"{parts.scheme}://{parts.netloc}")
    pages = [
        page for page in map(parse_origin, [origin] if origin else settings.server.allowed_origins) if page
    ]
    if own is None or not pages:
        yield not_asked(
            SITE, "give --origin https://… with the origin of the pages, if it is another than PNS's"
        )
    else:
        yield from (_judge(own, page, settings.session.same_site) for page in pages)
    if own is not None and own.scheme != "https" and needs_https(settings.session.cookie_name):
        yield bad(COOKIE_NAME, "browsers keep this name over https alone, and the address is http", _PREFIX)


def _judge(own: Origin, page: Origin, same_site: str) -> Finding:
    told = f"{page} and {own}"
    if own.scheme != page.scheme:
        return _two_sites(f"{told} differ in scheme", same_site)
    if own.host == page.host:
        return good(SITE, f"{told} have one host")
    shared = _shared(own.host, page.host)
    if not shared:
        return _two_sites(f"{told} share no domain", same_site)
    if shared in (own.host, page.host):
        return good(SITE, f"{told} are both of {shared}")
    return good(
        SITE, f"{told} are, if {shared} is yours and not one that strangers register below, as co.uk is"
    )


def _shared(one: str, other: str) -> str:
    """The common last labels of both names, at least two; empty for addresses."""
    if _is_address(one) or _is_address(other):
        return ""
    labels: list[str] = []
    for mine, theirs in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if mine != theirs:
            break
        labels.insert(0, mine)
    return ".".join(labels) if len(labels) > 1 else ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _two_sites(told: str, same_site: str) -> Finding:
    if same_site == "none":
        return not_asked(SITE, _FOREIGN_COOKIES, told)
    return bad(SITE, told, _TWO_SITES)


_TWO_SITES = (
    "browsers send no cookie from the pages to PNS: serve PNS from the pages' own site (a path behind the "
    "same proxy, or a sibling domain); or log in without cookies, by the client's `headers`; or let the "
    'login\'s cookie be SameSite=None; Secure and set session.same_site = "none", which still fails where '
    "browsers block cookies of third parties"
)
_FOREIGN_COOKIES = (
    "session.same_site is none: the login's cookie must be SameSite=None; Secure, too, and browsers that "
    "block cookies of third parties send neither; the client's `headers` need no cookie"
)
_PREFIX = "reach PNS by https (--url https://…), or take a name without the prefix __Host- or __Secure-"
