"""`pns.fastapi`: PNS lives as long as the application, is a parameter, and knows users in two ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.middleware.sessions import SessionMiddleware

from pns import PNS
from pns.contracts.authority import UserOf
from pns.errors import NotStarted
from pns.fastapi import Inboxes, bearer_user, get_pns, include, session_user
from pns.testing import temporary_pns
from pns.testing.temporary import empty_store

router = APIRouter()


@router.post("/ship/{user_id}")
async def ship(user_id: str, inboxes: Inboxes) -> list[str]:
    return await inboxes.notify(user_id, "Order shipped")


@router.post("/login/{user_id}")
async def login(user_id: str, request: Request) -> None:
    request.session["user_id"] = user_id


@asynccontextmanager
async def site(folder: Path, user: UserOf, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at an application with PNS, from its lifespan's beginning to its end."""
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        await pns.notify("lifespan", "it has begun")
        told.append("begun")
        yield {"of": "the host"}
        await pns.notify("lifespan", "it ends")
        told.append("ended")

    pns = PNS(f"sqlite:///{empty_store(folder / 'pns.db')}", user=user)
    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key="for a test")
    include(app, pns, **options)
    async with app.router.lifespan_context(app) as state:
        assert (state, told) == ({"of": "the host"}, ["begun"])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as browser:
            yield browser
    assert told == ["begun", "ended"]
    with pytest.raises(NotStarted):
        await pns.user("42")


@pytest.mark.parametrize("path", ["/pns", "/live"])
async def test_a_session_is_a_login(path: str, tmp_path: Path) -> None:
    async with site(tmp_path, session_user(), path=path) as browser:
        assert (await browser.post(f"{path}/subscribe")).status_code == 401
        await browser.post("/login/42")
        assert (await browser.post(f"{path}/subscribe")).json()["user_id"] == "42"
        assert len((await browser.post("/ship/42")).json()) == 1


def known(token: str) -> str | None:
    return {"t-42": "42"}.get(token)


async def known_later(token: str) -> str | None:
    return known(token)


@pytest.mark.parametrize("of_token", [known, known_later])
async def test_a_token_is_a_login(of_token: Any, tmp_path: Path) -> None:
    async with site(tmp_path, bearer_user(of_token)) as browser:
        for header, status in (
            ("Bearer t-42", 200),
            ("bearer  t-42", 200),
            ("Bearer t-43", 401),
            ("Bearer ", 401),
            ("Basic t-42", 401),
            ("", 401),
        ):
            answer = await browser.post("/pns/subscribe", headers={"authorization": header})
            assert answer.status_code == status, header


async def test_a_test_puts_another_pns_in_its_place() -> None:
    app = FastAPI()
    app.include_router(router)
    async with temporary_pns() as pns:
        app.dependency_overrides[get_pns] = lambda: pns
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://shop.test"
        ) as browser:
            assert (await browser.post("/ship/42")).status_code == 200
        assert (await pns.user("42")).unseen == 1
