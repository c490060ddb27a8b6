"""The login of a host that PNS runs inside: a function of the request, or a user whom the host names itself.

The host's function is asked each time; what it costs and keeps is its own affair. A function that fails or
hangs is a doubt, and a doubt never lets anybody in. A thread cannot be ended: one that hangs keeps its turn
until it returns, so that there are never more threads than turns.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection

from pns.adapters.authorities.doubts import DoubtLog
from pns.adapters.authorities.turns import Turn, Turns
from pns.contracts.authority import Credentials, Login, UserOf
from pns.errors import AuthUnavailable, Forbidden, Overloaded, Unauthorized
from pns.model.device import parse_user_id
from pns.runtime.clock import Clock
from pns.runtime.quiet_log import QuietLog
from pns.settings import AuthSettings

log = logging.getLogger(__name__)

_OWN = b"x-pns-"


class _Stopped(Exception):
    """The login is not waited for any more, because PNS stops."""


class CallbackLogin:
    """A DeviceAuthority that calls `user`, a function of the host; a sync one runs in a thread.

    None is Unauthorized, and so is Unauthorized or Forbidden if the function raises it; any other exception
    or a result that is no user id is AuthUnavailable, logged with the traceback, once a minute for each type
    of exception. So is more than `auth.timeout_seconds`, waiting for one of the `auth.max_concurrency` turns
    included, whatever comes after it. The threads are none of those that the host's own sync functions
    share. The function is handed a request whose `x-pns-` headers are PNS's own word, as `auth.url` is told
    them.
    """

    def __init__(
        self,
        user: UserOf,
        settings: AuthSettings,
        *,
        clock: Clock,
        newest_revocation: Callable[[], Awaitable[int]],
    ) -> None:
        self._user = user
        self._is_async = _is_async(user)
        self._timeout_seconds = settings.timeout_seconds
        self._newest_revocation = newest_revocation
        self._turns = Turns(settings.max_concurrency)
        self._threads = CapacityLimiter(settings.max_concurrency)
        self._calls: set[asyncio.Task[object]] = set()
        self._doubts = DoubtLog(log, clock=clock)
        # Anybody can make the function fail as often as they ask.
        self._failures = QuietLog(log, clock=clock)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        """Whoever still waits for a thread gets AuthUnavailable. A thread that hangs is not waited for."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        waited = "turn"
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                with await self._turns.take(credentials) as turn:
                    waited = "answer"
                    revocation = await self._newest_revocation()
                    user_id = await self._ask(_request(credentials, recheck=recheck), turn)
            if limit.expired():  # the function caught its own end, and what it says then is no answer
                raise TimeoutError
        except TimeoutError:
            self._doubt(f"no {waited} within {self._timeout_seconds:g} s")
            raise AuthUnavailable from None
        except Overloaded as overloaded:
            self._doubt(str(overloaded))
            raise
        if user_id is None:
            raise Unauthorized
        return Login(user_id, revocation)

    def _doubt(self, reason: str) -> None:
        self._doubts.write("the function given as user= did not say who a device is", reason)

    async def _ask(self, request: HTTPConnection | None, turn: Turn) -> str | None:
        try:
            if request is None:
                raise ValueError("these credentials hold no request")
            user = await self._call(request, turn)
            return None if user is None else parse_user_id(user)
        except (Unauthorized, Forbidden):
            raise
        except _Stopped:
            raise AuthUnavailable from None
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            failure: BaseException = error  # the function's own
        except (Exception, SystemExit) as error:
            failure = error
        self._failures.write(
            type(failure).__qualname__,
            "the function given as user= did not say who a device is",
            level=logging.ERROR,
            error=failure,
        )
        raise AuthUnavailable

    async def _call(self, request: HTTPConnection, turn: Turn) -> object:
        result = self._user(request) if self._is_async else await self._in_thread(request, turn)
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(self, request: HTTPConnection, turn: Turn) -> object:
        thread = to_thread.run_sync(_fenced, self._user, request, limiter=self._threads)
        call = asyncio.create_task(thread, name="pns login")
        self._calls.add(call)
        call.add_done_callback(self._ended)
        turn.outlasted_by(call)
        await asyncio.wait([call])  # unlike awaiting the task, does not cancel it with the waiter
        if call.cancelled():
            raise _Stopped
        return call.result()

    def _ended(self, call: asyncio.Task[object]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # seen here, because the caller may have left


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


def _fenced(user: UserOf, request: HTTPConnection) -> object:
    """What `user` returns. What is no Exception would end the event loop, or look like the end of PNS."""
    try:
        return user(request)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__} was raised") from error


def _request(credentials: Credentials, *, recheck: bool) -> HTTPConnection | None:
    """The device's request; of the headers `x-pns-…` it has those that PNS says, and no others."""
    if credentials.request is None:
        return None
    scope = credentials.request.scope
    sent = [header for header in scope["headers"] if not _is_own(header[0])]
    said = [header for header in credentials.said_by_pns(recheck=recheck) if header[0].startswith(_OWN)]
    return HTTPConnection({**scope, "headers": [*sent, *said]})


def _is_own(name: bytes) -> bool:
    """Whether it is PNS's to say, or would be taken for that where `_` and `-` are one (RFC 3875 §4.1.18)."""
    return name.lower().replace(b"_", b"-").startswith(_OWN)


def _is_async(function: UserOf) -> bool:
    inner: object = function
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)
