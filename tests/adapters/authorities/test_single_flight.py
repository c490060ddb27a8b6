"""Equal requests are one question; a yes is kept for a while; a revocation makes both too old."""

from __future__ import annotations

import asyncio
import random

import httpx2 as httpx
import pytest

from pns.adapters.authorities.answer import Doubt
from pns.adapters.authorities.application import ApplicationLogin
from pns.adapters.authorities.login_cache import LoginCache
from pns.adapters.authorities.outbound import Outbound
from pns.contracts.authority import Credentials, Login
from pns.errors import AuthUnavailable, SettingsError, StoreUnavailable, Unauthorized
from pns.settings import AuthSettings
from pns.testing.clock import FakeClock

from .backend import Asked, answering, drip_or_hang, reply, running, until, user_of_cookie
from .conftest import World, cookie, nobody


class Gate:
    """A behaviour that answers by the cookie, once it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        await user_of_cookie(asked, writer)


async def turns(count: int = 20) -> None:
    """Let everything that can run without the network run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_equal_requests_are_asked_once(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        waiting = [
            asyncio.create_task(authority.login(cookie("sid=42", device_id=f"device-{n}")))
            for n in range(100)
        ]
        await backend.until_asked(1)
        gate.open.set()
        assert {(await task).user_id for task in waiting} == {"42"}
        assert (await authority.login(cookie("sid=42"))).user_id == "42"
        assert len(backend.asked) == 1
        assert world.revocations.reads == 1
        assert world.outcomes() == {"asked_yes": 1, "joined": 99, "cached": 1}


async def test_requests_that_differ_in_one_byte_are_not_equal(world: World) -> None:
    headers = [
        ((b"cookie", b"sid=1"),),
        ((b"cookie", b"sid=2"),),
        ((b"cookie", b"sid=1"), (b"accept-language", b"de")),
        ((b"accept-language", b"de"), (b"cookie", b"sid=1")),
        ((b"cookiesid=1", b""),),
        ((b"cookie", b"sid"), (b"=1", b"")),
        (),
    ]
    forwarded = [(), ((b"x-forwarded-for", b"192.0.2.1"),), ((b"x-forwarded-for", b"192.0.2.2"),)]
    moved = Credentials((), ((b"cookie", b"sid=1"),), "device")
    different = [Credentials(h, f, "device") for h in headers for f in forwarded] + [moved]
    async with (
        running(answering(200, b'{"user_id": "42"}')) as backend,
        world.login(backend.url()) as authority,
    ):
        for credentials in different:
            try:
                await authority.login(credentials)
            except AuthUnavailable:
                assert any(b"=" in name for name, _ in credentials.headers)  # no header name in HTTP
        assert world.outcomes().get("cached") is None
        assert sum(world.outcomes().values()) == len(different)


async def test_a_yes_is_kept_for_cache_seconds(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url(), cache_seconds=10) as authority:
        await authority.login(cookie("sid=42"))
        world.clock.advance(9.9)
        await authority.login(cookie("sid=42"))
        assert len(backend.asked) == 1
        world.clock.advance(0.1)
        await authority.login(cookie("sid=42"))
        assert len(backend.asked) == 2


async def test_the_wall_clock_does_not_matter(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("sid=42"))
        for jump in (30 * 86_400, -3_600):
            world.clock.jump(jump)
            await authority.login(cookie("sid=42"))
        assert len(backend.asked) == 1


async def test_without_cache_seconds_nothing_is_kept(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url(), cache_seconds=0) as authority:
        await authority.login(cookie("sid=42"))
        await authority.login(cookie("sid=42"))
        assert len(backend.asked) == 2


def test_the_longest_unused_yes_goes_first(clock: FakeClock) -> None:
    yeses = LoginCache(10, clock=clock, most=3)
    for name in (b"a", b"b", b"c"):
        yeses.put(name, Login(name.decode(), 0))
    assert yeses.get(b"a", not_before=0) == Login("a", 0)
    yeses.put(b"d", Login("d", 0))
    assert yeses.get(b"b", not_before=0) is None
    kept = [yeses.get(name, not_before=0) for name in (b"a", b"c", b"d")]
    assert kept == [Login("a", 0), Login("c", 0), Login("d", 0)]
    assert len(yeses) == 3


def test_10_000_yeses_are_kept_and_no_more(clock: FakeClock) -> None:
    yeses = LoginCache(10, clock=clock)
    for number in range(10_100):
        yeses.put(b"%d" % number, Login("x", 0))
    assert len(yeses) == 10_000


async def test_memory_holds_no_cookie_after_the_answer(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("secret=canary-9d1; sid=42"))
        assert "canary" not in repr(vars(authority._login_cache))
        assert not authority._newest


# ── revocation ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_login_carries_the_newest_revocation_before_the_question(world: World) -> None:
    gate = Gate()
    world.revocations.number = 7
    async with running(gate) as backend, world.login(backend.url()) as authority:
        asking = asyncio.create_task(authority.login(cookie("sid=42")))
        await backend.until_asked(1)
        world.revocations.number = 8
        gate.open.set()
        assert await asking == Login("42", 7)
        assert await authority.login(cookie("sid=42"), not_before=7) == Login("42", 7)
        assert await authority.login(cookie("sid=42"), not_before=8) == Login("42", 8)
        assert await authority.login(cookie("sid=42"), not_before=8) == Login("42", 8)
        assert len(backend.asked) == 2


async def test_a_question_under_way_that_is_too_old_is_asked_again_once(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        old = asyncio.create_task(authority.login(cookie("sid=42")))
        await backend.until_asked(1)
        world.revocations.number = 5
        new = [asyncio.create_task(authority.login(cookie("sid=42"), not_before=5)) for _ in range(50)]
        await backend.until_asked(2)
        gate.open.set()
        assert await old == Login("42", 0)
        assert {await task for task in new} == {Login("42", 5)}
        assert len(backend.asked) == 2
        # The newer answer is the one that is kept, whichever came last.
        assert await authority.login(cookie("sid=42"), not_before=5) == Login("42", 5)
        assert len(backend.asked) == 2


async def test_a_question_whose_number_is_not_known_yet_is_waited_for_not_joined_blindly(
    world: World,
) -> None:
    reading = asyncio.Event()
    world.revocations.wait = reading.wait
    world.revocations.number = 5
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        first = asyncio.create_task(authority.login(cookie("sid=42")))
        enough = asyncio.create_task(authority.login(cookie("sid=42"), not_before=5))
        await turns()
        assert backend.asked == []
        reading.set()
        assert await first == await enough == Login("42", 5)
        assert len(backend.asked) == 1


async def test_a_number_that_turns_out_too_low_leads_to_one_new_question(world: World) -> None:
    reading = asyncio.Event()
    world.revocations.wait = reading.wait
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        first = asyncio.create_task(authority.login(cookie("sid=42")))
        later = [asyncio.create_task(authority.login(cookie("sid=42"), not_before=3)) for _ in range(10)]
        await turns()

        async def second_read() -> None:
            world.revocations.number = 3

        reading.set()
        await turns(2)
        world.revocations.wait = second_read
        assert (await first).user_id == "42"
        assert {await task for task in later} == {Login("42", 3)}
        assert len(backend.asked) == 2


async def test_a_number_that_is_never_known_is_a_doubt_in_time(world: World) -> None:
    world.revocations.wait = asyncio.Event().wait
    async with (
        running(user_of_cookie) as backend,
        world.login(backend.url(), timeout_seconds=0.1) as authority,
    ):
        logins = [authority.login(cookie("sid=42"), not_before=n % 3) for n in range(9)]
        results = await asyncio.wait_for(asyncio.gather(*logins, return_exceptions=True), 5)
        assert {type(result) for result in results} == {AuthUnavailable}
        assert backend.asked == []


async def test_fresh_asks_past_the_cache_and_past_what_is_under_way(world: World) -> None:
    gate = Gate()
    gate.open.set()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("sid=42"))
        await authority.login(cookie("sid=42"), recheck=True)
        assert len(backend.asked) == 2
        gate.open.clear()
        fresh = [asyncio.create_task(authority.login(cookie("sid=42"), recheck=True)) for _ in range(3)]
        await backend.until_asked(5)
        gate.open.set()
        assert {(await task).user_id for task in fresh} == {"42"}


async def test_a_fresh_no_ends_what_was_kept(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("sid=42"))
        backend.behaviour = answering(401)
        with pytest.raises(Unauthorized):
            await authority.login(cookie("sid=42"), recheck=True)
        with pytest.raises(Unauthorized):
            await authority.login(cookie("sid=42"))


async def test_a_fresh_doubt_ends_nothing(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        await authority.login(cookie("sid=42"))
        backend.behaviour = answering(500)
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"), recheck=True)
        assert (await authority.login(cookie("sid=42"))).user_id == "42"


async def test_a_yes_that_comes_after_a_newer_no_is_not_kept(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        old = asyncio.create_task(authority.login(cookie("sid=42")))
        await backend.until_asked(1)
        backend.behaviour = answering(401)
        with pytest.raises(Unauthorized):
            await authority.login(cookie("sid=42"), recheck=True)
        gate.open.set()
        assert (await old).user_id == "42"
        with pytest.raises(Unauthorized):
            await authority.login(cookie("sid=42"))


async def test_without_the_store_nobody_is_asked_and_nobody_let_in(world: World) -> None:
    world.revocations.error = StoreUnavailable()
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        results = await asyncio.gather(
            *(authority.login(cookie("sid=42")) for _ in range(5)), return_exceptions=True
        )
        assert {type(result) for result in results} == {StoreUnavailable}
        assert backend.asked == []


# ── many at once ──────────────────────────────────────────────────────────────────────────────────────────


async def test_no_more_than_max_concurrency_calls_run_at_once(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url(), max_concurrency=5) as authority:
        waiting = [asyncio.create_task(authority.login(cookie(f"sid={n}"))) for n in range(40)]
        await backend.until_asked(5)
        await turns()
        assert backend.at_once == 5
        gate.open.set()
        assert [(await task).user_id for task in waiting] == [str(n) for n in range(40)]
        assert backend.most_at_once == 5


async def test_waiting_for_a_turn_counts(world: World) -> None:
    gate = Gate()
    async with (
        running(gate) as backend,
        world.login(backend.url(), max_concurrency=1, timeout_seconds=0.2) as authority,
    ):
        logins = [authority.login(cookie(f"sid={n}")) for n in range(20)]
        results = await asyncio.wait_for(asyncio.gather(*logins, return_exceptions=True), 5)
        assert {type(result) for result in results} == {AuthUnavailable}
        assert len(backend.asked) <= 2, "the first, and who was still in time when that one gave up"
        gate.open.set()
        assert (await authority.login(cookie("sid=x"))).user_id == "x"


async def test_who_leaves_disturbs_nobody(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        first = asyncio.create_task(authority.login(cookie("sid=42")))
        others = [asyncio.create_task(authority.login(cookie("sid=42"))) for _ in range(9)]
        await backend.until_asked(1)
        for task in (first, *others[::2]):
            task.cancel()
        await turns()
        assert first.cancelled()
        gate.open.set()
        assert [(await task).user_id for task in others[1::2]] == ["42"] * 4
        assert len(backend.asked) == 1


async def test_a_question_goes_on_after_everybody_left(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        only = asyncio.create_task(authority.login(cookie("sid=42")))
        await backend.until_asked(1)
        only.cancel()
        await turns()
        later = asyncio.create_task(authority.login(cookie("sid=42")))
        await turns()
        gate.open.set()
        assert (await later).user_id == "42"
        assert world.outcomes() == {"asked_yes": 1, "joined": 1}


OFTEN = pytest.mark.parametrize("hundreds", [3, pytest.param(10, marks=pytest.mark.soak)])


@OFTEN
async def test_cancellations_then_good_calls(world: World, hundreds: int) -> None:
    rng = random.Random(7)
    async with (
        running(user_of_cookie) as backend,
        world.login(backend.url(), max_concurrency=32, timeout_seconds=30, cache_seconds=0) as authority,
    ):

        async def leave_early(number: int) -> None:
            task = asyncio.create_task(authority.login(cookie(f"sid={number % 300}")))
            await turns(rng.randrange(40))
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                assert task.result().user_id == str(number % 300)

        for start in range(0, hundreds * 100, 100):
            await asyncio.gather(*(leave_early(number) for number in range(start, start + 100)))
        for start in range(0, hundreds * 50, 50):
            logins = (authority.login(cookie(f"sid={n}"), recheck=True) for n in range(start, start + 50))
            users = await asyncio.gather(*logins)
            assert [login.user_id for login in users] == [str(n) for n in range(start, start + 50)]
        assert backend.open_connections <= 32
        await authority.stop()
        await until(lambda: backend.open_connections == 0)


@OFTEN
async def test_questions_cut_off_on_the_wire_leave_nothing_behind(hundreds: int) -> None:
    """Below the login: the deadline itself cancels the request, at every moment of its life."""
    rng = random.Random(11)
    async with running(drip_or_hang) as backend:
        outbound = Outbound(connections=50, body_limit=65_536)
        url = httpx.URL(backend.url())

        async def cut_off(number: int) -> None:
            task = asyncio.create_task(outbound.ask("POST", url, headers=[(b"content-length", b"0")]))
            if number % 2:
                await turns(rng.randrange(60))
            else:
                await asyncio.wait([task], timeout=0.02)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or isinstance(task.exception(), Doubt)

        for start in range(0, hundreds * 100, 100):
            await asyncio.gather(*(cut_off(number) for number in range(start, start + 100)))
        assert len(backend.asked) > hundreds * 10
        await until(lambda: backend.open_connections == 0)
        backend.behaviour = answering(200, b"{}")
        for _ in range(hundreds * 2):
            asks = (outbound.ask("POST", url, headers=[(b"content-length", b"0")]) for _ in range(50))
            assert {await_.status for await_ in await asyncio.gather(*asks)} == {200}
        assert 1 <= backend.open_connections <= 50
        await outbound.close()
        await until(lambda: backend.open_connections == 0)


@OFTEN
async def test_no_user_ever_becomes_another(world: World, hundreds: int) -> None:
    """An application that rotates its session cookie with each answer, users and nobodies mixed."""

    async def rotate(asked: Asked, writer: asyncio.StreamWriter) -> None:
        cookies = asked.all(b"cookie")
        user = cookies[0].removeprefix(b"sid=") if cookies else b""
        body = b'{"user_id": "%s"}' % user if user else b"{}"
        domain = b"; Domain=localhost; Path=/" if len(user) % 2 else b"; Path=/"
        writer.write(
            reply(200 if user else 401, body, b"set-cookie: sid=%s-rotated%s" % (user or b"x", domain))
        )

    rng = random.Random(3)
    async with running(rotate) as backend:
        for host in ("localhost", "127.0.0.1"):
            async with world.login(backend.url(host=host), cache_seconds=0.001) as authority:

                async def visit(authority: ApplicationLogin = authority) -> None:
                    user = rng.choice(["", *(f"user-{n}" for n in range(50))])
                    try:
                        login = await authority.login(cookie(f"sid={user}") if user else nobody())
                    except Unauthorized:
                        assert user == ""
                    else:
                        assert login.user_id == user

                for _ in range(hundreds * 2):
                    tasks = [asyncio.create_task(visit()) for _ in range(50)]
                    for task in rng.sample(tasks, 5):
                        asyncio.get_running_loop().call_soon(task.cancel)
                    results = await asyncio.gather(*tasks, return_exceptions=True)
                    assert {type(r) for r in results} <= {type(None), asyncio.CancelledError}
                    world.clock.advance(1)
        assert not any(b"rotated" in asked.raw for asked in backend.asked)


async def test_connections_are_kept_alive(world: World) -> None:
    async with running(user_of_cookie) as backend, world.login(backend.url()) as authority:
        for number in range(20):
            await authority.login(cookie(f"sid={number}"))
        assert backend.connections == 1


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_ends_what_runs(world: World) -> None:
    gate = Gate()
    async with running(gate) as backend, world.login(backend.url()) as authority:
        asking = [asyncio.create_task(authority.login(cookie("sid=42"))) for _ in range(3)]
        await backend.until_asked(1)
        await authority.stop()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(result) for result in results} == {AuthUnavailable}
        gate.open.set()
        await until(lambda: backend.open_connections == 0)
        await authority.stop()
        with pytest.raises(AuthUnavailable):
            await authority.login(cookie("sid=42"))
        await authority.start()
        assert (await authority.login(cookie("sid=42"))).user_id == "42"


async def test_stop_before_start(world: World) -> None:
    authority = ApplicationLogin(
        AuthSettings(url="http://localhost:1/"),
        clock=world.clock,
        metrics=world.metrics,
        newest_revocation=world.revocations.newest,
    )
    await authority.stop()
    with pytest.raises(AuthUnavailable):
        await authority.login(cookie("sid=42"))


@pytest.mark.parametrize(
    "url", ["localhost:8000/login", "ftp://localhost/", "http://", "http://[::1/", "/login"]
)
def test_a_url_that_cannot_be_asked_is_refused_at_once(url: str, world: World) -> None:
    with pytest.raises(SettingsError, match=r"auth\.url"):
        ApplicationLogin(
            AuthSettings(url=url),
            clock=world.clock,
            metrics=world.metrics,
            newest_revocation=world.revocations.newest,
        )
