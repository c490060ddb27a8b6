"""Nobody who is not an operator learns that the operator's pages are there. Whatever they ask, and however
the application answers, they get the answer of a path that is not there, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest

from pns.adapters.authorities.application import ApplicationLogin
from pns.adapters.authorities.callback import CallbackLogin
from pns.contracts.authority import Credentials, DeviceAuthority, Login, UserOf
from pns.errors import StoreUnavailable
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import AuthSettings
from tests.adapters.authorities.backend import Behaviour, answering, running
from tests.adapters.authorities.test_battery import doubts
from tests.security.test_origins import OWN, REFUSED, TOO_MANY
from tests.web.edge import FOREIGN as ALLOWED
from tests.web.edge import Edge, an_edge

YES = b'{"user_id": "42", "operator": true}'
PATHS = (
    "/operator",
    "/operator/",
    "/operator/user?id=42",
    "/operator/operator.css",
    "/operator/x",
    "/%6fperator",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
LOGIN = {"cookie": "sid=42"}
NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]

NOES: dict[str, Behaviour] = {
    "401": answering(401, YES),
    "403": answering(403, YES),
    "no operator": answering(200, b'{"user_id": "42"}'),
    **{
        f"operator {value.decode()}": answering(200, b'{"user_id": "42", "operator": %s}' % value)
        for value in (b"false", b"null", b"1", b'"true"', b'"1"', b"[true]", b"{}", b"1.0", b'"yes"')
    },
    "Operator": answering(200, b'{"user_id": "42", "Operator": true}'),
    "operator elsewhere": answering(200, b'{"user_id": "42", "user": {"operator": true}}'),
    "an operator without a name": answering(200, b'{"operator": true}'),
}


class Application:
    """The application of an edge, which may change between two requests."""

    def __init__(self) -> None:
        self.authority: DeviceAuthority | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        assert self.authority is not None
        return await self.authority.login(credentials, not_before=not_before, recheck=recheck)

    async def operator(self, credentials: Credentials) -> Login:
        assert self.authority is not None
        return await self.authority.operator(credentials)


class House(NamedTuple):
    edge: Edge
    application: Application

    async def ask(
        self, method: str, path: str, headers: Sequence[tuple[str, str]] = (("cookie", "sid=42"),)
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body."""
        sent = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
        request = httpx.Request(method, f"http://pns.example{path}", headers=sent)
        answer = await self.edge.client.send(request)
        return answer.status_code, sorted(answer.headers.raw), answer.content

    async def is_nowhere(
        self,
        headers: Sequence[tuple[str, str]] = (("cookie", "sid=42"),),
        *,
        methods: Sequence[str] = METHODS,
    ) -> None:
        """Each path, by each method, is as one that is not there."""
        asked = [(method, path) for method in methods for path in PATHS]
        answers = await asyncio.gather(*(self.ask(method, path, headers) for method, path in asked))
        for (method, path), answer in zip(asked, answers, strict=True):
            assert answer == await self.ask(method, "/nowhere/at/all", headers), (method, path, answer)
            assert answer[0] == 404

    async def login(self, url: str, stack: AsyncExitStack) -> None:
        settings = AuthSettings(url=url, timeout_seconds=0.2)
        authority = ApplicationLogin(
            settings,
            clock=SystemClock(),
            metrics=Metrics(),
            newest_revocation=self.edge.node.store.newest_revocation,
        )
        await authority.start()
        stack.push_async_callback(authority.stop)
        self.application.authority = authority


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    application = Application()
    async with an_edge(tmp_path, application) as edge:
        yield House(edge, application)


@pytest.mark.parametrize("methods", [("GET", "POST"), pytest.param(METHODS, marks=pytest.mark.soak)])
async def test_no_answer_of_the_application_but_one_opens_the_door(
    house: House, methods: Sequence[str]
) -> None:
    """Some eighty answers, each against every path."""
    answers = {**doubts(YES), **NOES}
    assert len(answers) >= 60
    for name, behaviour in answers.items():
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(running(behaviour))
            await house.login(backend.url(), stack)
            try:
                await house.is_nowhere(methods=methods)
            except AssertionError as error:
                raise AssertionError(name) from error
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running(answering(200, YES)))
        await house.login(backend.url(), stack)
        for asked in (1, 2):
            assert (await house.ask("GET", "/operator"))[0] == 200
            assert len(backend.asked) == asked, "at each request anew"
        backend.behaviour = answering(200, b'{"user_id": "42"}')
        await house.is_nowhere()


async def test_no_page_of_another_origin_opens_the_door(house: House) -> None:
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running(answering(200, YES)))
        await house.login(backend.url(), stack)
        foreign = [origin for origin in REFUSED if origin != ALLOWED]
        assert len(foreign) >= 40
        for origin in foreign:
            await house.is_nowhere([*LOGIN.items(), ("Origin", origin)])
        for several in TOO_MANY:
            await house.is_nowhere([*LOGIN.items(), *several])
        for site in ("cross-site", "same-site"):
            await house.is_nowhere([*LOGIN.items(), ("Sec-Fetch-Site", site)])
            embedded = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")]
            await house.is_nowhere([*LOGIN.items(), ("Sec-Fetch-Site", site), *embedded])
        assert backend.asked == [], "nobody was asked"
        for origin in OWN:
            assert (await house.ask("GET", "/operator", [*LOGIN.items(), ("Origin", origin)]))[0] == 200


async def test_a_link_of_another_site_may_be_followed_and_a_form_not(house: House) -> None:
    followed = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ]
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running(answering(200, YES)))
        await house.login(backend.url(), stack)
        assert (await house.ask("GET", "/operator/user?id=42", [*LOGIN.items(), *followed]))[0] == 200
        asked = len(backend.asked)
        assert (await house.ask("POST", "/operator/user", [*LOGIN.items(), *followed]))[0] == 404
        assert len(backend.asked) == asked


async def test_who_shows_no_login_is_refused_before_anybody_is_asked(house: House) -> None:
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running(answering(200, YES)))
        await house.login(backend.url(), stack)
        await house.is_nowhere([("User-Agent", "x"), ("Accept-Language", "en")])
        await house.is_nowhere([("Cookie", "pns_device=x")])
        assert backend.asked == []


async def test_a_login_from_before_a_revocation_opens_no_door(house: House) -> None:
    class Late(Application):
        async def operator(self, credentials: Credentials) -> Login:
            before = await house.edge.node.store.newest_revocation()
            await house.edge.node.changes.revoke("42")
            return Login("42", before, operator=True)

    house.application.authority = Late()
    await house.is_nowhere()


async def test_an_error_of_any_kind_opens_no_door(house: House) -> None:
    class Broken(Application):
        error: Exception = RuntimeError("x")

        async def operator(self, credentials: Credentials) -> Login:
            raise self.error

    house.application.authority = Broken()
    for error in (RuntimeError("x"), StoreUnavailable(), KeyError("operator")):
        Broken.error = error
        await house.is_nowhere()


@pytest.mark.parametrize("said", [None, False, 1, "true", [True], RuntimeError("x")])
async def test_a_host_names_its_operators_itself(house: House, said: object) -> None:
    def operator(request: object) -> object:
        if isinstance(said, Exception):
            raise said
        return said

    def named(user: UserOf, may: UserOf | None) -> CallbackLogin:
        newest = house.edge.node.store.newest_revocation
        clock = SystemClock()
        return CallbackLogin(user, AuthSettings(), clock=clock, newest_revocation=newest, operator=may)

    for user, may in ((somebody, operator), (nobody, always), (somebody, None)):
        house.application.authority = named(user, may)
        await house.is_nowhere()
    for may in (always, lambda request: True):
        house.application.authority = named(somebody, may)
        assert (await house.ask("GET", "/operator"))[0] == 200


def somebody(request: object) -> object:
    return "42"


async def nobody(request: object) -> object:
    return None


async def always(request: object) -> object:
    return True
