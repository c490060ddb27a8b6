"""The login of a host that PNS runs inside: a function of the request, or a user whom the host names itself.

The host's function is asked each time; what it costs and keeps is its own affair. A function that fails or
hangs is a doubt, and a doubt never lets anybody in.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from pns.authority import Credentials, Login, UserOf
from pns.device import parse_user_id
from pns.errors import AuthUnavailable, Forbidden, Unauthorized

log = logging.getLogger(__name__)

_OWN = b"x-pns-"


class CallbackLogin:
    """A DeviceAuthority that calls `user`, a function of the host; a sync one runs in a thread.

    None is Unauthorized, and so is Unauthorized or Forbidden if the function raises it; any other exception,
    a result that is no user id, or more than `timeout_seconds` is AuthUnavailable, logged with the traceback.
    The function is handed a request whose `x-pns-` headers are PNS's own word, as `auth.url` is told them.
    """

    def __init__(
        self,
        user: UserOf,
        *,
        timeout_seconds: float,
        newest_revocation: Callable[[], Awaitable[int]],
    ) -> None:
        self._user = user
        self._is_async = _is_async(user)
        self._timeout_seconds = timeout_seconds
        self._newest_revocation = newest_revocation

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                revocation = await self._newest_revocation()
                user_id = await self._ask(_request(credentials, recheck=recheck))
        except TimeoutError:
            log.warning("the function given as user= did not answer within %g s", self._timeout_seconds)
            raise AuthUnavailable from None
        if user_id is None:
            raise Unauthorized
        return Login(user_id, revocation)

    async def _ask(self, request: HTTPConnection | None) -> str | None:
        try:
            if request is None:
                raise ValueError("these credentials hold no request")
            user = await self._call(request)
            return None if user is None else parse_user_id(user)
        except (Unauthorized, Forbidden):
            raise
        except Exception:
            log.exception("the function given as user= did not say who a device is")
            raise AuthUnavailable from None

    async def _call(self, request: HTTPConnection) -> object:
        result = self._user(request) if self._is_async else await run_in_threadpool(self._user, request)
        return await result if inspect.isawaitable(result) else result


class FixedUser:
    """A DeviceAuthority that always names one user: the host has logged in whoever is behind the connection.

    The host's word is as old as `revocation`, Store.newest_revocation() when it was given: a login that must
    be newer is Unauthorized. Raises ValueError for what is no user id.
    """

    def __init__(self, user_id: str | int, *, revocation: int) -> None:
        self._login = Login(parse_user_id(user_id), revocation)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        if self._login.revocation < not_before:
            raise Unauthorized
        return self._login


def _request(credentials: Credentials, *, recheck: bool) -> HTTPConnection | None:
    """The device's request; of the headers `x-pns-…` it has those that PNS says, and no others."""
    if credentials.request is None:
        return None
    scope = credentials.request.scope
    sent = [header for header in scope["headers"] if not header[0].lower().startswith(_OWN)]
    said = [header for header in credentials.said_by_pns(recheck=recheck) if header[0].startswith(_OWN)]
    return HTTPConnection({**scope, "headers": [*sent, *said]})


def _is_async(function: UserOf) -> bool:
    inner: object = function
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)
