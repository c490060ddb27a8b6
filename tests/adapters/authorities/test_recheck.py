"""A recheck says what it is, is never answered by what is kept, and serves a login that comes meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import HTTPConnection

from pns.contracts.authority import Credentials
from pns.errors import Unauthorized

from .backend import Asked, answering, running, user_of_cookie
from .conftest import World, cookie
from .test_callback import authority
from .test_single_flight import Gate, turns


def questions(asked: list[Asked]) -> list[bytes]:
    """What each question says that it is; every one says so exactly once."""
    return [b",".join(each.all(b"x-pns-question")) for each in asked]


async def test_the_application_is_told_which_question_it_is(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as login:
        await login.login(cookie("sid=42"))
        await login.login(cookie("sid=42"), recheck=True)
        await login.login(cookie("sid=42"), not_before=0)
        await login.login(cookie("sid=43"))
        assert questions(backend.asked) == [b"login", b"recheck", b"login"]


async def test_a_rechecks_yes_is_kept_for_a_login(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as login:
        await login.login(cookie("sid=42"), recheck=True)
        assert (await login.login(cookie("sid=42"))).user_id == "42"
        assert questions(backend.asked) == [b"recheck"]
        assert world.outcomes() == {"asked_yes": 1, "cached": 1}


async def test_a_login_joins_a_recheck_and_a_recheck_joins_nothing(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as login:
        rechecks = [asyncio.create_task(login.login(cookie("sid=42"), recheck=True)) for _ in range(2)]
        await backend.until_asked(2)
        joined = asyncio.create_task(login.login(cookie("sid=42")))
        await turns()
        alone = asyncio.create_task(login.login(cookie("sid=43")))
        await backend.until_asked(3)
        rechecks.append(asyncio.create_task(login.login(cookie("sid=43"), recheck=True)))
        await backend.until_asked(4)
        gate.open.set()
        assert [(await task).user_id for task in (*rechecks, joined, alone)] == ["42", "42", "43", "42", "43"]
        assert questions(backend.asked) == [b"recheck", b"recheck", b"login", b"recheck"]
        assert world.outcomes()["joined"] == 1


async def test_a_login_that_must_be_newer_than_the_recheck_asks_for_itself(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as login:
        recheck = asyncio.create_task(login.login(cookie("sid=42"), recheck=True))
        await backend.until_asked(1)
        world.revocations.number = 3
        newer = asyncio.create_task(login.login(cookie("sid=42"), not_before=3))
        await backend.until_asked(2)
        gate.open.set()
        assert ((await recheck).revocation, (await newer).revocation) == (0, 3)
        assert questions(backend.asked) == [b"recheck", b"login"]


async def test_another_host_with_the_same_cookie_is_another_question(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as login:
        await login.login(cookie("sid=42", host="shop.example"))
        backend.behaviour = answering(401)
        for other in ("evil.example", "shop.example:8443", ""):
            with pytest.raises(Unauthorized):
                await login.login(cookie("sid=42", host=other))
            assert backend.asked[-1].all(b"x-pns-host") == [other.encode()]
        assert (await login.login(cookie("sid=42", host="shop.example"))).user_id == "42"
        assert len(backend.asked) == 4


@pytest.mark.parametrize("recheck", [False, True])
async def test_a_function_of_the_host_is_told_the_same(recheck: bool) -> None:
    lies = [
        (b"X_PNS_Question", b"lie"),
        (b"x-pns_host", b"lie"),
        (b"X-PNS-Question", b"lie"),
        (b"x-pns-host", b"lie"),
        (b"x-PNS-device-id", b"lie"),
    ]
    scope = {"type": "http", "headers": [*lies, (b"cookie", b"user=42")], "path": "/", "session": {"a": 1}}
    credentials = Credentials(
        (), ((b"x-forwarded-for", b"192.0.2.7"), (b"x-pns-host", b"shop.example")), "d", HTTPConnection(scope)
    )
    seen: list[HTTPConnection] = []

    def user(request: HTTPConnection) -> str | None:
        seen.append(request)
        return request.cookies.get("user")

    assert (await authority(user).login(credentials, recheck=recheck)).user_id == "42"
    (request,) = seen
    assert request.headers.getlist("x-pns-question") == ["recheck" if recheck else "login"]
    assert request.headers.getlist("x-pns-host") == ["shop.example"]
    assert request.headers.getlist("x-pns-device-id") == ["d"]
    assert "x-forwarded-for" not in request.headers
    assert request.session is scope["session"], "what the host's own middleware put there is the same"
    assert scope["headers"] == [*lies, (b"cookie", b"user=42")], "the device's request stays as it came"
