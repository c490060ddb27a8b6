"""Does the application's login endpoint answer as PNS needs, without a login and with a login?"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

import httpx2 as httpx
import msgspec

from pns.contracts.authority import Credentials
from pns.model import csrf
from pns.model.device import new_device_id, parse_user_id
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.doctor.remedies import unreached
from pns.settings import Settings

WITHOUT = "auth.url without a login"
WITH = "auth.url with the given login"


async def check_application(
    settings: Settings, login: Mapping[str, str], *, url: str = ""
) -> AsyncIterator[Finding]:
    """Ask `auth.url` as PNS would.

    `login`: the headers of a logged-in browser, names in lower case. `url`: the address of PNS for devices,
    without a path if need be; "" for the address of `server.host` and `server.port`.
    """
    if not settings.auth.url:
        yield not_asked(WITHOUT, _NO_URL)
        return
    said = _said(settings, url)
    yield await _ask(settings, WITHOUT, {}, said=said)
    forwarded = {name: value for name, value in login.items() if name in settings.auth.forward_headers}
    if not login:
        yield not_asked(WITH, _NO_LOGIN)
    elif lost := ", ".join(sorted(login.keys() - forwarded.keys())):
        yield bad(WITH, f"PNS does not pass {lost} on", f"add {lost} to auth.forward_headers")
    else:
        yield await _ask(settings, WITH, forwarded, said=said)


def _said(settings: Settings, url: str) -> dict[str, str]:
    """The headers of PNS's own word, as for a device of this machine with a login at `url`."""
    at = urlsplit(url or f"http://{settings.server.host}:{settings.server.port}")
    forwarded = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": at.scheme, "x-pns-host": at.netloc}
    encoded = tuple((name.encode(), value.encode()) for name, value in forwarded.items())
    said = Credentials((), encoded, new_device_id()).said_by_pns(recheck=False)
    return {name.decode(): value.decode() for name, value in said}


async def _ask(
    settings: Settings, question: str, login: Mapping[str, str], *, said: Mapping[str, str]
) -> Finding:
    auth = settings.auth
    headers = {"accept": "application/json", "accept-encoding": "identity", **login, **said}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=auth.timeout_seconds) as client:
            response = await client.request(auth.method, auth.url, headers=headers)
    except httpx.TimeoutException:
        return bad(question, f"no answer within {auth.timeout_seconds:g} s", _SLOW)
    except httpx.HTTPError as error:
        told = f"cannot be reached ({error or type(error).__name__})"
        return bad(question, told, unreached(error, where="auth.url", start="start the application"))
    return _judge(question, response, login=login, method=auth.method)


def _judge(question: str, response: httpx.Response, *, login: Mapping[str, str], method: str) -> Finding:
    status = response.status_code
    if status in (301, 302, 303, 307, 308):
        return bad(question, f"it redirects ({status})", _REDIRECT)
    if csrf.is_csrf(status, response.text):
        return bad(question, f"{status}, and the page speaks of CSRF", csrf.REMEDY)
    if status == 200:
        return _judge_yes(question, response, logged_in=bool(login))
    if status in (401, 403):
        return _judge_no(question, response, login)
    remedy = _REMEDIES.get(status, "it must answer 200, 401 or 403; see the application's log")
    return bad(question, f"it answers {status} to {method}", remedy)


def _judge_no(question: str, response: httpx.Response, login: Mapping[str, str]) -> Finding:
    status, page = response.status_code, csrf.is_page(response.text)
    if status == 403 and page:
        return bad(question, "403 with a page in place of JSON", f"{_PAGE}; {csrf.REMEDY}")
    if not login:
        return good(question, f"{status}, as it should be")
    if status == 403:
        return bad(question, "403: the application lets this login not in", _NOT_ALLOWED)
    scheme = response.headers.get("www-authenticate", "").partition(" ")[0].strip(",")
    if scheme and "authorization" not in login:
        return bad(question, f"401: it asks for {scheme[:20]!r} in the header Authorization", _BY_HEADER)
    if "cookie" not in login:
        return bad(question, "401: the application knows no such login", _STALE_HEADER)
    return bad(question, "401: the application knows no such login", _STALE)


def _judge_yes(question: str, response: httpx.Response, *, logged_in: bool) -> Finding:
    try:
        content = response.content.removeprefix(BOM_UTF8)
        user_id = parse_user_id(msgspec.json.decode(content, type=dict[str, object])["user_id"])
    except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
        return bad(question, "200, but no JSON with a user_id", _NOT_JSON)
    if not logged_in:
        return bad(question, f"200: it takes anybody for {user_id!r}", _ANYBODY)
    return good(question, f"200, user {user_id!r}")


_NO_URL = (
    "set auth.url to the endpoint that says who a request's user is; "
    "a PNS inside an application has none, there the function given as user= says it"
)
_NO_LOGIN = (
    "give --cookie 'name=value' of a logged-in browser (developer tools, Application, Cookies), or where the "
    "login is a header, --header 'Authorization: Bearer …'"
)
_SLOW = "make it faster, or raise auth.timeout_seconds (at most 60)"
_REDIRECT = (
    "PNS follows no redirects: let the endpoint answer 401 instead of redirecting to a login page, "
    "or correct http to https or a trailing slash in auth.url"
)
_PAGE = "a firewall, or most likely CSRF protection, answers before the endpoint does"
_NOT_ALLOWED = (
    "the application knows the request, and its endpoint or a rule before it refuses: let it answer 200 "
    "to every user who has notifications, and 401 where nobody is logged in"
)
_BY_HEADER = (
    "a cookie is not looked for there: give --header 'Authorization: …' here, and in pages the client's "
    "`headers`; or let the endpoint know the login's cookie"
)
_STALE = (
    "log in again and copy every cookie anew; or the endpoint looks for the login elsewhere, in a header "
    "such as Authorization: give that with --header, and have it in auth.forward_headers"
)
_STALE_HEADER = (
    "log in again and copy the header anew; or the endpoint looks for the login in a cookie: give that "
    "with --cookie"
)
_NOT_JSON = (
    "answer a logged-in user's request with 200 and the JSON {\"user_id\": …}, and anybody else's with 401"
)
_ANYBODY = "answer 401 when nobody is logged in: as it is, everybody is that user"
_WANTS_MORE = (
    "PNS sends an empty body, no parameters, and of the headers those in auth.forward_headers: let the "
    "endpoint need no more"
)
_LARGE = "the application takes no head as large as this: raise its limit, or make the login's cookie smaller"
_AWAY = "a proxy answers there, but does not reach the application, or it is in maintenance: start it"
_REMEDIES = {
    **dict.fromkeys((404, 405, 410), "correct the path in auth.url, or auth.method"),
    **dict.fromkeys((400, 406, 411, 415, 422), _WANTS_MORE),
    **dict.fromkeys((413, 414, 431), _LARGE),
    429: "the application limits how often one may ask: except PNS's address, which asks for every device",
    **dict.fromkeys((502, 503, 504), _AWAY),
}
