"""The login of a host that PNS runs inside: a function of the request, or a user whom the host names itself.

PNS calls the host's function each time and keeps no answer. A function that fails or hangs is a doubt, and a
doubt never lets anybody in. A thread cannot be ended. A hanging thread keeps its turn until the function
returns, so the threads are never more than the turns.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection

from pns.adapters.authorities.doubt_log import DoubtLog
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
    """PNS stops and no longer waits for the login."""


class CallbackLogin:
    """A DeviceAuthority that calls `user`, a function of the host; a sync one runs in a thread.

    None is Unauthorized. Unauthorized and Forbidden of the function pass through. Any other exception, or a
    result that is no user id, is AuthUnavailable: the log has the traceback, once a minute for each type of
    exception. A call that takes longer than `auth.timeout_seconds` is AuthUnavailable, too, and the wait for
    one of the `auth.max_concurrency` turns counts. The host's own sync functions share none of these threads.
    In the request that the function receives, the `x-pns-` headers are PNS's own, as in a question to
    `auth.url`.
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
        """Answer all waiting logins with AuthUnavailable. `stop` does not wait for hanging threads."""
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
    """A DeviceAuthority that always names the same user, whom the host has logged in.

    `revocation` is the age of the host's word: Store.newest_revocation() of that moment. A login that must be
    newer is Unauthorized. Raises ValueError for a value that is no user id.
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
    """The result of `user`. A BaseException would end the event loop, or look like the end of PNS."""
    try:
        return user(request)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__} was raised") from error


def _request(credentials: Credentials, *, recheck: bool) -> HTTPConnection | None:
    """The device's request. Its only headers `x-pns-…` are PNS's own."""
    if credentials.request is None:
        return None
    scope = credentials.request.scope
    sent = [header for header in scope["headers"] if not _is_own(header[0])]
    said = [header for header in credentials.said_by_pns(recheck=recheck) if header[0].startswith(_OWN)]
    return HTTPConnection({**scope, "headers": [*sent, *said]})


def _is_own(name: bytes) -> bool:
    """Whether the header is PNS's own, or seems so where `_` and `-` are the same (RFC 3875 §4.1.18)."""
    return name.lower().replace(b"_", b"-").startswith(_OWN)


def _is_async(function: UserOf) -> bool:
    inner: object = function
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)
