"""The login of a host that PNS runs inside: a function of the request, or a user whom the host names itself.

PNS calls the host's function each time and keeps no answer. A function that fails or hangs is a doubt, and a
doubt never lets anybody in. A thread cannot be ended. A hanging thread keeps its turn until the function
returns, so the threads are never more than the turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection

from pns.adapters.authorities.doubt_log import DoubtLog
from pns.adapters.authorities.turns import Turn, Turns
from pns.contracts.authority import Credentials, Login, UserOf
from pns.errors import AuthUnavailable, Forbidden, Overloaded, Unauthorized
from pns.model.device import UserId, may_be_user_id, parse_user_id
from pns.runtime.clock import Clock
from pns.runtime.host_calls import HostCallFailed, HostCalls, HostCallStopped
from pns.runtime.quiet_log import QuietLog
from pns.settings import AuthSettings

log = logging.getLogger(__name__)

_OWN = b"x-pns-"


class CallbackLogin:
    """A DeviceAuthority that calls `user`, a function of the host; a sync one runs in a thread.

    None is Unauthorized. Unauthorized and Forbidden of the function pass through. Any other exception is
    AuthUnavailable: the log has the traceback, once a minute for each type of exception. A result that is no
    user id is AuthUnavailable, too: the log names the result's type, once a minute. A call that takes longer
    than `auth.timeout_seconds` is AuthUnavailable, and the wait for one of the `auth.max_concurrency` turns
    counts. The host's own sync functions share none of these threads. In the request that the function
    receives, the `x-pns-` headers are PNS's own, as in a question to `auth.url`.
    """

    def __init__(
        self,
        user: UserOf,
        settings: AuthSettings,
        *,
        clock: Clock,
        newest_revocation: Callable[[], Awaitable[int]],
        operator: UserOf | None = None,
    ) -> None:
        """`operator`: the host's function that returns True for the request of an operator."""
        self._user = user
        self._operator = operator
        self._timeout_seconds = settings.timeout_seconds
        self._newest_revocation = newest_revocation
        self._turns = Turns(settings.max_concurrency)
        self._calls = HostCalls(settings.max_concurrency, name="pns login")
        self._doubts = DoubtLog(log, clock=clock)
        # Anybody can make the function fail as often as they ask.
        self._failures = QuietLog(log, clock=clock)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        """Answer all waiting logins with AuthUnavailable. `stop` does not wait for hanging threads."""
        await self._calls.stop()

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        return await self._login(credentials, recheck=recheck)

    async def operator(self, credentials: Credentials) -> Login:
        if self._operator is None:
            raise Forbidden
        login = await self._login(credentials, as_operator=self._operator)
        if not login.operator:
            raise Forbidden
        return login

    async def _login(
        self, credentials: Credentials, *, recheck: bool = False, as_operator: UserOf | None = None
    ) -> Login:
        waited = "turn"
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                with await self._turns.take(credentials) as turn:
                    waited = "answer"
                    revocation = await self._newest_revocation()
                    request = _request(credentials, recheck=recheck)
                    user_id = self._user_id(await self._ask(self._user, request, turn))
                    operator = (
                        as_operator is not None
                        and user_id is not None
                        and await self._ask(as_operator, request, turn) is True
                    )
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
        return Login(user_id, revocation, operator)

    def _doubt(self, reason: str) -> None:
        self._doubts.write("the function given as user= did not say who a device is", reason)

    async def _ask(self, function: UserOf, request: HTTPConnection | None, turn: Turn) -> object:
        try:
            if request is None:
                raise HostCallFailed(ValueError("these credentials hold no request"))
            return await self._calls.call(function, request, began=turn.outlasted_by)
        except HostCallStopped:
            raise AuthUnavailable from None
        except HostCallFailed as failed:
            failure = failed.error
        if isinstance(failure, (Unauthorized, Forbidden)):
            raise failure
        self._failures.write(
            type(failure).__qualname__,
            f"the function given as {self._name(function)}= did not say who a device is",
            level=logging.ERROR,
            error=failure,
        )
        raise AuthUnavailable

    def _user_id(self, said: object) -> str | None:
        """The user id that the function returned. Raises AuthUnavailable for nonsense, and tells the log."""
        if said is None:
            return None
        try:
            return parse_user_id(said)
        except ValueError as error:
            reason = f": a user id {error}" if may_be_user_id(said) else ""
        # Never the value itself, which may be a whole user.
        self._failures.write(
            f"returned {type(said).__qualname__}",
            f"the function given as user= returned {type(said).__qualname__}, which is no user id{reason}; "
            "return a str, an int or a uuid.UUID, such as user.pk, or None for nobody",
            level=logging.ERROR,
        )
        raise AuthUnavailable

    def _name(self, function: UserOf) -> str:
        return "user" if function is self._user else "operator"


class FixedUser:
    """A DeviceAuthority that always names the same user, whom the host has logged in.

    `revocation` is the age of the host's word: Store.newest_revocation() of that moment. A login that must be
    newer is Unauthorized. Raises ValueError for a value that is no user id.
    """

    def __init__(self, user_id: UserId, *, revocation: int) -> None:
        self._login = Login(parse_user_id(user_id), revocation)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        if self._login.revocation < not_before:
            raise Unauthorized
        return self._login

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


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
