"""Does the application's login endpoint answer as PNS needs it, without a login and with one?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx2 as httpx
import msgspec

from pns.device import parse_user_id
from pns.ops.doctor.finding import Finding, bad, good, not_asked
from pns.settings import Settings

WITHOUT = "auth.url without a login"
WITH = "auth.url with the given cookie"


async def check_application(settings: Settings, cookies: Sequence[str]) -> AsyncIterator[Finding]:
    """Ask `auth.url` as PNS would."""
    if not settings.auth.url:
        yield not_asked(WITHOUT, _NO_URL)
        return
    yield await _ask(settings, [])
    if cookies:
        yield await _ask(settings, cookies)
    else:
        yield not_asked(
            WITH, "give --cookie 'name=value' of a logged-in browser (developer tools, Application, Cookies)"
        )


async def _ask(settings: Settings, cookies: Sequence[str]) -> Finding:
    auth = settings.auth
    question = WITH if cookies else WITHOUT
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=auth.timeout_seconds) as client:
            response = await client.request(auth.method, auth.url, headers=headers)
    except httpx.TimeoutException:
        return bad(question, f"no answer within {auth.timeout_seconds:g} s", _SLOW)
    except httpx.HTTPError as error:
        return bad(question, f"cannot be reached ({error or type(error).__name__})", _UNREACHABLE)
    return _judge(question, response, logged_in=bool(cookies), method=auth.method)


def _judge(question: str, response: httpx.Response, *, logged_in: bool, method: str) -> Finding:
    status = response.status_code
    if status in (301, 302, 303, 307, 308):
        return bad(question, f"it redirects ({status})", _REDIRECT)
    if status == 403 and "csrf" in response.text.lower():
        return bad(question, "403, and the page speaks of CSRF", _CSRF)
    if status in (404, 405):
        return bad(
            question, f"it answers {status} to {method}", "correct the path in auth.url, or auth.method"
        )
    if status == 200:
        return _judge_yes(question, response, logged_in=logged_in)
    if status in (401, 403):
        if logged_in:
            return bad(question, f"{status}: the application knows no such login", _STALE)
        return good(question, f"{status}, as it should be")
    return bad(question, f"it answers {status}", "it must answer 200, 401 or 403; see the application's log")


def _judge_yes(question: str, response: httpx.Response, *, logged_in: bool) -> Finding:
    try:
        user_id = parse_user_id(msgspec.json.decode(response.content, type=dict[str, object])["user_id"])
    except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
        return bad(question, "200, but no JSON with a user_id", _NOT_JSON)
    if not logged_in:
        return bad(question, f"200: it takes anybody for {user_id!r}", _ANYBODY)
    return good(question, f"200, user {user_id!r}")


_NO_URL = (
    "set auth.url to the endpoint that says who a request's user is; "
    "a PNS inside an application has none, there the function given as user= says it"
)
_SLOW = "make it faster, or raise auth.timeout_seconds (at most 60)"
_UNREACHABLE = "start the application, or correct auth.url as seen from PNS's machine or container"
_REDIRECT = (
    "PNS follows no redirects: let the endpoint answer 401 instead of redirecting to a login page, "
    "or correct http to https or a trailing slash in auth.url"
)
_CSRF = 'exempt the endpoint from CSRF protection (it changes nothing), or set auth.method = "GET"'
_STALE = "log in again and copy the cookie anew; auth.forward_headers must hold what the login needs"
_NOT_JSON = (
    "answer a logged-in user's request with 200 and the JSON {\"user_id\": …}, and anybody else's with 401"
)
_ANYBODY = "answer 401 when nobody is logged in: as it is, everybody is that user"
