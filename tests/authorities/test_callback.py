from __future__ import annotations

import asyncio
import functools
import threading

import pytest
from starlette.requests import HTTPConnection

from pns.authorities.callback import CallbackLogin, FixedUser
from pns.authority import Credentials, Login, UserOf
from pns.errors import AuthUnavailable, Forbidden, StoreUnavailable, Unauthorized

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


def authority(user: UserOf, timeout_seconds: float = 5, number: int = 0) -> CallbackLogin:
    return CallbackLogin(user, timeout_seconds=timeout_seconds, newest_revocation=Revocations(number).newest)


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


@pytest.mark.parametrize("error", [RuntimeError, KeyError, TimeoutError, AuthUnavailable, StopIteration])
async def test_an_exception_is_a_doubt_with_a_traceback(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def user(request: HTTPConnection) -> str:
        raise error("of the host")

    with pytest.raises(AuthUnavailable):
        await authority(user).login(CREDENTIALS)
    assert "Traceback" in caplog.text


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


async def test_the_store_is_asked_before_the_host() -> None:
    revocations = Revocations(3)

    def user(request: HTTPConnection) -> str:
        revocations.number = 4
        return "42"

    login = CallbackLogin(user, timeout_seconds=5, newest_revocation=revocations.newest)
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
