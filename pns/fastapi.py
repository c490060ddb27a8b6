"""PNS inside a FastAPI application: mounted with its lifespan, as a dependency, with a login of two kinds.

pns = PNS("sqlite:///pns.db", user=session_user())
include(app, pns)

@app.post("/orders/{number}/ship")
async def ship(number: int, inboxes: Inboxes): await inboxes.notify("42", "Order shipped")
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from pns.library import PNS


def include(app: FastAPI, pns: PNS, *, path: str = "/pns") -> None:
    """Serve `pns` below `path`, from before the application's own lifespan until after it."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with pns, inner(app) as state:
            yield state

    app.router.lifespan_context = lifespan
    app.state.pns = pns
    app.mount(path, pns)


def get_pns(connection: HTTPConnection) -> PNS:
    """The PNS that `include` has put into the application. A test replaces it by `dependency_overrides`."""
    pns: PNS = connection.app.state.pns
    return pns


Inboxes = Annotated[PNS, Depends(get_pns)]
"""The type of a parameter that is the application's PNS."""


def session_user(key: str = "user_id") -> Callable[[HTTPConnection], object]:
    """For `user=`: the user of Starlette's SessionMiddleware, in the session by `key`."""
    return lambda connection: connection.session.get(key)


def bearer_user(
    user_of_token: Callable[[str], object | Awaitable[object]],
) -> Callable[[HTTPConnection], Awaitable[object]]:
    """For `user=`: the user of a bearer token. `user_of_token` returns the user's id, or None for a bad one.

    The page gives the bell the same header: docs/bell.md, "A login without a cookie".
    """

    async def user(connection: HTTPConnection) -> object:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        found = user_of_token(token.strip())
        return await found if inspect.isawaitable(found) else found

    return user
