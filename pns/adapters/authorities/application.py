"""The application's own login, asked over HTTP: who sent these headers?

Owns the questions under way and the kept yeses, so that equal requests share a question. The application
decides: 200 with a `user_id` is a yes, 401 and 403 are a no. Everything else is a doubt, and a doubt never
lets anybody in. direct.py sends the question. pns/model/forwarding.py selects its headers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from pns.adapters.authorities.answer import Answer, Doubt, Header
from pns.adapters.authorities.direct import Direct
from pns.adapters.authorities.doubt_log import DoubtLog, PageLog, refusal
from pns.adapters.authorities.login_cache import LoginCache
from pns.adapters.authorities.turns import Turns
from pns.contracts.authority import Credentials, Login
from pns.errors import AuthUnavailable, Forbidden, Overloaded, SettingsError, Unauthorized
from pns.model.device import parse_user_id
from pns.model.forwarding import SENT_BY_ALL
from pns.runtime.clock import Clock
from pns.runtime.http1 import Place
from pns.runtime.metrics import Metrics
from pns.settings import AuthSettings

log = logging.getLogger(__name__)

_BODY_LIMIT = 65_536


class ApplicationLogin:
    """A DeviceAuthority that asks `auth.url` (docs/protocol.md, section 3.2 and 3.3).

    Equal requests at the same time share a question. Requests are equal if all their headers are, byte for
    byte, but `x-pns-device-id` and `x-pns-question`. A recheck is always a new question, which a login may
    join. A waiting caller may be cancelled at any time: the question goes on for the others. The errors of
    `newest_revocation` pass through: without the store nobody is let in. SettingsError for an impossible URL.
    """

    def __init__(
        self,
        settings: AuthSettings,
        *,
        clock: Clock,
        metrics: Metrics,
        newest_revocation: Callable[[], Awaitable[int]],
    ) -> None:
        self._settings = settings
        self._resource = _checked_url(settings.url)
        self._metrics = metrics
        self._newest_revocation = newest_revocation
        self._turns = Turns(settings.max_concurrency)
        self._login_cache = LoginCache(settings.cache_seconds, clock=clock)
        self._doubts = DoubtLog(log, clock=clock)
        self._crowds = DoubtLog(log, clock=clock)
        self._pages = PageLog(log, clock=clock)
        self._newest: dict[bytes, _Question] = {}
        self._tasks: set[asyncio.Task[Login]] = set()
        self._direct: Direct | None = None

    async def start(self) -> None:
        if self._direct is None:
            connections = self._settings.max_concurrency
            self._direct = Direct(self._resource, connections=connections, body_limit=_BODY_LIMIT)

    async def stop(self) -> None:
        """Answer all waiting logins with AuthUnavailable."""
        direct, self._direct = self._direct, None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._login_cache.clear()
        if direct is not None:
            direct.close()

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        key = _digest(credentials)
        if not recheck and (kept := self._login_cache.get(key, not_before=not_before)) is not None:
            self._count("cached")
            return kept
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        if not recheck and key in self._newest:
            try:
                async with asyncio.timeout_at(deadline):
                    if (question := await self._under_way(key, not_before)) is not None:
                        self._count("joined")
                        return await question.answer()
            except TimeoutError:
                raise AuthUnavailable from None
        return await self._begin(key, _Question(credentials, deadline, recheck=recheck)).answer()

    async def operator(self, credentials: Credentials) -> Login:
        if not any(name not in SENT_BY_ALL for name, _ in credentials.headers):
            raise Unauthorized  # at once, as at any other path: these headers name nobody
        deadline = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        question = _Question(credentials, deadline, recheck=False)
        login = await self._begin(_digest(credentials), question).answer()
        if not login.operator:
            raise Forbidden
        return login

    async def _under_way(self, key: bytes, not_before: int) -> _Question | None:
        """A question that began late enough to be joined. The loop ends: each turn meets a newer question."""
        while (question := self._newest.get(key)) is not None:
            if not_before == 0:
                return question
            revocation = await question.asked_after()
            if revocation is not None and revocation >= not_before:
                return question
            if self._newest.get(key) is question:
                return None
        return None

    def _begin(self, key: bytes, question: _Question) -> _Question:
        question.task = task = asyncio.create_task(self._run(key, question), name="pns login")
        self._newest[key] = question
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return question

    def _ended(self, task: asyncio.Task[Login]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, because all who waited may have left

    async def _run(self, key: bytes, question: _Question) -> Login:
        try:
            login = await self._ask(question)
        except (Unauthorized, Forbidden):
            self._count("asked_no")
            if self._newest.get(key) is question:
                self._login_cache.drop(key)
            raise
        else:
            self._count("asked_yes")
            if self._newest.get(key) is question:  # a newer question's answer is worth more
                self._login_cache.put(key, login)
            return login
        finally:
            if self._newest.get(key) is question:
                del self._newest[key]
            question.revocation_known.set()

    async def _ask(self, question: _Question) -> Login:
        """The deadline belongs to the question, and holds after all waiting callers have left."""
        try:
            async with asyncio.timeout_at(question.deadline):
                with await self._turns.take(question.credentials):
                    question.revocation = await self._newest_revocation()
                    question.revocation_known.set()
                    answer = await self._send(question)
                    self._pages.look(answer, place=self._place)
                    return _login(answer, question.revocation)
        except TimeoutError:
            waited = "no turn" if question.revocation is None else "no answer"
            reason = f"{waited} within {self._settings.timeout_seconds:g} s"
        except Doubt as doubt:
            reason = str(doubt)
        except Overloaded as overloaded:
            self._count("turned_away")
            self._crowds.write("logins are turned away", str(overloaded))
            raise
        self._count("asked_doubt")
        self._doubts.write(f"the application at auth.url did not say who a device is, {self._place}", reason)
        raise AuthUnavailable

    async def _send(self, question: _Question) -> Answer:
        if self._direct is None:
            raise Doubt("PNS is not started")
        method = self._settings.method
        headers = _headers(method, question)
        return await self._direct.ask(method, headers=headers, deadline=question.deadline)

    @property
    def _place(self) -> str:
        scheme = "https" if self._resource.tls else "http"
        path = self._resource.target.partition(b"?")[0]
        return f"{scheme}://{self._resource.authority.decode()}{path.decode()}"

    def _count(self, outcome: str) -> None:
        self._metrics.logins.labels(outcome).inc()


class _Question:
    """One question under way. `task` is its own, so whoever waits may leave without disturbing it."""

    __slots__ = ("credentials", "deadline", "recheck", "revocation", "revocation_known", "task")

    task: asyncio.Task[Login]

    def __init__(self, credentials: Credentials, deadline: float, *, recheck: bool) -> None:
        self.credentials = credentials
        self.deadline = deadline
        self.recheck = recheck
        self.revocation: int | None = None
        self.revocation_known = asyncio.Event()

    async def asked_after(self) -> int | None:
        """The newest revocation when it was asked; None if it came to nothing before that was known."""
        await self.revocation_known.wait()
        return self.revocation

    async def answer(self) -> Login:
        await asyncio.wait([self.task])  # unlike awaiting the task, does not cancel it with the waiter
        if self.task.cancelled():
            raise AuthUnavailable
        return self.task.result()


def _checked_url(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError:
        raise SettingsError("auth.url must be an absolute URL that begins with http:// or https://") from None


def _headers(method: str, question: _Question) -> list[Header]:
    """Everything that the application is told, but `host`."""
    headers = [
        *question.credentials.headers,
        *question.credentials.said_by_pns(recheck=question.recheck),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
    ]
    if method not in ("GET", "HEAD"):  # RFC 9110 §8.6: where no body is expected, it is not sent
        headers.append((b"content-length", b"0"))
    return headers


def _digest(credentials: Credentials) -> bytes:
    digest = hashlib.sha256()
    for headers in (credentials.headers, credentials.forwarded):
        digest.update(b"%d;" % len(headers))
        for name, value in headers:
            digest.update(b"%d,%d:%b%b" % (len(name), len(value), name, value))
    return digest.digest()


def _login(answer: Answer, revocation: int) -> Login:
    """The yes of the answer. Raises Unauthorized or Forbidden for a no, Doubt for all else."""
    if answer.status == 401:
        raise Unauthorized
    if answer.status == 403:
        raise Forbidden
    if answer.status != 200:
        raise Doubt(refusal(answer))
    content = answer.json()
    if not isinstance(content, dict) or "user_id" not in content:
        raise Doubt("its answer is not a JSON object with user_id")
    try:
        user_id = parse_user_id(content["user_id"])
    except ValueError as error:
        raise Doubt(f"its user_id {error}") from None
    return Login(user_id, revocation, operator=content.get("operator") is True)
