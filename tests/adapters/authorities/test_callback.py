from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import threading
from decimal import Decimal
from uuid import UUID

import pytest
from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from pns.adapters.authorities.callback import CallbackLogin, FixedUser
from pns.contracts.authority import Credentials, Login, UserOf
from pns.errors import AuthUnavailable, Forbidden, StoreUnavailable, Unauthorized
from pns.settings import AuthSettings
from pns.testing.clock import FakeClock
from tests.engine import turns

from .backend import until
from .conftest import Revocations

CONNECTION = HTTPConnection({"type": "http", "headers": [(b"cookie", b"user=42")], "path": "/"})
CREDENTIALS = Credentials((), (), "device-1", CONNECTION)


def by_cookie(request: HTTPConnection) -> str | None:
    return request.cookies.get("user")


async def by_cookie_async(request: HTTPConnection) -> str | None:
    return request.cookies.get("user")


class Users:
    async def __call__(self, request: HTTPConnection) -> str | None:
        return request.cookies.get("user")


class KeyOfADatabase(UUID):
    """As asyncpg gives it."""


def authority(
    user: UserOf, timeout_seconds: float = 5, number: int = 0, *, max_concurrency: int = 64
) -> CallbackLogin:
    settings = AuthSettings(timeout_seconds=timeout_seconds, max_concurrency=max_concurrency)
    return CallbackLogin(user, settings, clock=FakeClock(), newest_revocation=Revocations(number).newest)


@pytest.mark.parametrize(
    "user",
    [
        by_cookie,
        by_cookie_async,
        Users(),
        lambda request: by_cookie(request),
        lambda request: by_cookie_async(request),
        functools.partial(by_cookie),
        functools.partial(by_cookie_async),
        lambda request: 42,
    ],
)
async def test_a_user(user: UserOf) -> None:
    assert await authority(user, number=7).login(CREDENTIALS) == Login("42", 7)


@pytest.mark.parametrize("of", [UUID, KeyOfADatabase])
async def test_a_uuid_is_its_text(of: type[UUID]) -> None:
    key = "0b6f1c9e-6f0a-4f0e-9d3a-2f6b6a6d1c11"
    assert (await authority(lambda request: of(key)).login(CREDENTIALS)).user_id == key


async def test_a_sync_function_does_not_hold_up_the_loop() -> None:
    threads = []

    def user(request: HTTPConnection) -> str:
        threads.append(threading.current_thread())
        return "42"

    await authority(user).login(CREDENTIALS)
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize("user", [lambda request: None, lambda request: asyncio.sleep(0)])
async def test_nobody(user: UserOf) -> None:
    with pytest.raises(Unauthorized):
        await authority(user).login(CREDENTIALS)


@pytest.mark.parametrize("error", [Unauthorized, Forbidden])
async def test_a_no_that_the_host_raises(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    def user(request: HTTPConnection) -> str:
        raise error

    with pytest.raises(error):
        await authority(user).login(CREDENTIALS)
    assert caplog.records == []


@pytest.mark.parametrize("result", ["", 1.5, True, False, [], {}, b"42", "a\0", "..", "x" * 256, object()])
async def test_what_is_no_user_id_is_a_doubt(result: object, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AuthUnavailable):
        await authority(lambda request: result).login(CREDENTIALS)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Decimal("1234567"), "Decimal, which is no user id; return a str, an int or a uuid.UUID, such as"),
        (b"1234567", "bytes, which is no user id; return a str"),
        (
            False,
            "bool, which is no user id; return a str, an int or a uuid.UUID, such as user.pk, or None for",
        ),
        (("1234567",), "tuple, which"),
        ("", "str, which is no user id: a user id must have 1 to 255 characters; return"),
        ("1234567" * 99, "str, which is no user id: a user id must have 1 to 255 characters; return"),
    ],
)
async def test_nonsense_is_named_in_the_log(
    result: object, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By its type, on one line: the value may be a whole user, or a secret."""
    login = authority(lambda request: result)
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            await login.login(CREDENTIALS)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"the function given as user= returned {told}" in line
    assert "Traceback" not in caplog.text
    assert "1234567" not in caplog.text


@pytest.mark.parametrize("error", [RuntimeError, KeyError, TimeoutError, AuthUnavailable, StopIteration])
async def test_an_exception_is_a_doubt_with_a_traceback(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def user(request: HTTPConnection) -> str:
        raise error("of the host")

    with pytest.raises(AuthUnavailable):
        await authority(user).login(CREDENTIALS)
    assert "Traceback" in caplog.text


async def test_a_function_that_fails_again_and_again_writes_a_traceback_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = [KeyError, ConnectionError]
    coming = itertools.cycle(errors)

    def user(request: HTTPConnection) -> str:
        raise next(coming)

    clock = FakeClock()
    login = CallbackLogin(user, AuthSettings(), clock=clock, newest_revocation=Revocations(0).newest)
    for _ in range(20):
        with pytest.raises(AuthUnavailable):
            await login.login(CREDENTIALS)
    assert [caplog.text.count(f"\n{error.__name__}") for error in errors] == [1, 1]
    clock.advance(60)
    for _ in range(2):
        with pytest.raises(AuthUnavailable):
            await login.login(CREDENTIALS)
    assert [caplog.text.count(f"\n{error.__name__}") for error in errors] == [2, 2]
    assert caplog.text.count("(9 more since the line before)") == 2


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_thread_of_a_function_ends_nothing_else(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def user(request: HTTPConnection) -> str:
        raise error

    with pytest.raises(AuthUnavailable):
        await authority(user).login(CREDENTIALS)
    assert f"{error.__name__} was raised" in caplog.text


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
async def test_an_async_function_ends_nothing_else(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def user(request: HTTPConnection) -> str:
        raise error

    login = authority(user, max_concurrency=1)
    for _ in range(3):  # the turn is given back each time
        with pytest.raises(AuthUnavailable):
            await login.login(CREDENTIALS)
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("said", [None, "42"])
async def test_what_a_function_says_after_its_time_is_a_doubt(said: str | None) -> None:
    async def user(request: HTTPConnection) -> str | None:
        with contextlib.suppress(BaseException):
            await asyncio.Event().wait()
        return said

    with pytest.raises(AuthUnavailable):
        await asyncio.wait_for(authority(user, timeout_seconds=0.05).login(CREDENTIALS), 5)


async def test_a_cancelled_caller_is_cancelled() -> None:
    async def user(request: HTTPConnection) -> str:
        await asyncio.Event().wait()
        return "42"

    task = asyncio.create_task(authority(user).login(CREDENTIALS))
    await turns(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_async_function_that_hangs() -> None:
    async def user(request: HTTPConnection) -> str:
        await asyncio.Event().wait()
        return "42"

    with pytest.raises(AuthUnavailable):
        await asyncio.wait_for(authority(user, timeout_seconds=0.05).login(CREDENTIALS), 5)


async def test_a_sync_function_that_hangs() -> None:
    leave = threading.Event()

    def user(request: HTTPConnection) -> str:
        leave.wait(20)
        return "42"

    try:
        with pytest.raises(AuthUnavailable):
            await asyncio.wait_for(authority(user, timeout_seconds=0.05).login(CREDENTIALS), 5)
    finally:
        leave.set()


class Hung:
    """A function that hangs until `leave` is set; `calls` counts the threads that it was called in."""

    def __init__(self) -> None:
        self.leave = threading.Event()
        self.calls = 0
        self.returned = 0

    def __call__(self, request: HTTPConnection) -> str:
        self.calls += 1
        self.leave.wait(60)
        self.returned += 1
        return "42"


async def test_threads_that_hang_keep_their_turns(caplog: pytest.LogCaptureFixture) -> None:
    user = Hung()
    login = authority(user, timeout_seconds=0.2, max_concurrency=3)
    try:
        for _ in range(2):  # the second crowd finds every turn still taken
            logins = (login.login(CREDENTIALS) for _ in range(30))
            results = await asyncio.wait_for(asyncio.gather(*logins, return_exceptions=True), 30)
            assert {type(result) for result in results} == {AuthUnavailable}
            await until(lambda: user.calls >= 3)
            assert user.calls == 3
    finally:
        user.leave.set()
    await until(lambda: user.returned == 3)
    assert await login.login(CREDENTIALS) == Login("42", 0)
    await login.stop()
    assert len(caplog.records) == 1, "a crowd of timeouts is one line; FakeClock stands still"


async def test_async_functions_take_turns_too() -> None:
    at_once = most = 0
    go = asyncio.Event()

    async def user(request: HTTPConnection) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await go.wait()
        at_once -= 1
        return "42"

    login = authority(user, timeout_seconds=60, max_concurrency=3)
    logins = [asyncio.create_task(login.login(CREDENTIALS)) for _ in range(30)]
    await turns()
    assert at_once == 3
    go.set()
    assert {(await task).user_id for task in logins} == {"42"}
    assert most == 3


async def test_a_coroutine_that_a_sync_function_made_holds_its_turn() -> None:
    go, began = asyncio.Event(), 0

    async def later() -> str:
        nonlocal began
        began += 1
        await go.wait()
        return "42"

    login = authority(lambda request: later(), timeout_seconds=60, max_concurrency=2)
    logins = [asyncio.create_task(login.login(CREDENTIALS)) for _ in range(10)]
    await until(lambda: began == 2)
    await turns()
    assert began == 2
    go.set()
    assert {(await task).user_id for task in logins} == {"42"}


async def test_the_hosts_own_threads_stay_free() -> None:
    user = Hung()
    login = authority(user, timeout_seconds=60, max_concurrency=50)
    logins = [asyncio.create_task(login.login(CREDENTIALS)) for _ in range(50)]
    try:
        await until(lambda: user.calls >= 40)
        assert to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert await asyncio.wait_for(run_in_threadpool(lambda: "free"), 30) == "free"
    finally:
        user.leave.set()
    assert {(await task).user_id for task in logins} == {"42"}


async def test_strangers_do_not_keep_others_from_the_function() -> None:
    answers = asyncio.Semaphore(0)

    async def user(request: HTTPConnection) -> str | None:
        await answers.acquire()
        return request.cookies.get("user")

    login = authority(user, timeout_seconds=60, max_concurrency=4)

    def come(address: str) -> asyncio.Task[Login]:
        forwarded = ((b"x-forwarded-for", address.encode()),)
        return asyncio.create_task(login.login(Credentials((), forwarded, "device", CONNECTION)))

    crowd = [come("192.0.2.66") for _ in range(400)]
    await turns()
    eight = [come(f"198.51.100.{number}") for number in range(8)]
    await turns()
    for _ in range(12):  # the four under way, and the eight
        answers.release()
    assert {(await asyncio.wait_for(task, 10)).user_id for task in eight} == {"42"}
    assert sum(task.done() for task in crowd) == 4
    for task in crowd:
        task.cancel()
    await asyncio.wait(crowd)
    answers.release()
    assert (await come("192.0.2.66")).user_id == "42"


async def test_stop_does_not_wait_for_a_thread_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    user = Hung()
    login = authority(user, timeout_seconds=60)
    waiting = asyncio.create_task(login.login(CREDENTIALS))
    try:
        await until(lambda: user.calls == 1)
        await asyncio.wait_for(login.stop(), 10)
        await login.stop()
        with pytest.raises(AuthUnavailable):
            await asyncio.wait_for(waiting, 10)
        assert user.returned == 0
        assert caplog.records == []
    finally:
        user.leave.set()


async def test_the_store_is_asked_before_the_host() -> None:
    revocations = Revocations(3)

    def user(request: HTTPConnection) -> str:
        revocations.number = 4
        return "42"

    login = CallbackLogin(user, AuthSettings(), clock=FakeClock(), newest_revocation=revocations.newest)
    assert await login.login(CREDENTIALS, not_before=3, recheck=True) == Login("42", 3)
    revocations.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await login.login(CREDENTIALS)


async def test_credentials_without_a_request_are_a_doubt() -> None:
    with pytest.raises(AuthUnavailable):
        await authority(by_cookie).login(Credentials((), (), "device-1"))


async def test_a_fixed_user_is_as_old_as_the_hosts_word() -> None:
    fixed = FixedUser(42, revocation=5)
    await fixed.start()
    assert await fixed.login(CREDENTIALS) == Login("42", 5)
    assert await fixed.login(CREDENTIALS, not_before=5, recheck=True) == Login("42", 5)
    with pytest.raises(Unauthorized):
        await fixed.login(CREDENTIALS, not_before=6)
    await fixed.stop()
    await fixed.stop()


def test_a_fixed_user_must_be_a_user_id() -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        FixedUser("", revocation=0)
