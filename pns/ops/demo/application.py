"""The demo application: its own login with two users, a page, and the two endpoints where it meets PNS.

PNS asks `/pns-auth` for a device's user (an embedded PNS asks the sessions themselves). `/notify` passes a
form on to PNS. The buttons that break something belong to the demo; everything else would be in the
application without PNS, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pns.errors import PNSError
from pns.library import PNS
from pns.model.notification import Notification
from pns.ops.demo import words
from pns.ops.demo.page import ASSETS, page
from pns.ops.demo.process import PNSProcess
from pns.ops.demo.sessions import MAX_AGE_SECONDS, Sessions

USERS = {"alice": "Alice", "bob": "Bob"}
AWAY_SECONDS = 8.0


class Notifies(Protocol):
    """The calls of the application to PNS, far (RemotePNS) or near (pns.PNS)."""

    async def notify(self, user_id: str, notifications: list[Notification], /) -> object: ...

    async def withdraw(self, user_id: str, notification_id: str, /) -> object: ...

    async def declare_category(
        self,
        category: str,
        title: str,
        /,
        *,
        description: str,
        defaults: Mapping[str, bool],
        required: Sequence[str],
    ) -> object: ...

    async def disconnect(self, user_id: str, /) -> object: ...


def make_application(
    pns: Notifies,
    *,
    sessions: Sessions,
    process: PNSProcess | None = None,
    mounted: PNS | None = None,
    fleet: Sequence[BaseRoute] = (),
) -> Starlette:
    """The application. Its pages find PNS in `process`, on a port beside this one, or at /pns.

    PNS is at /pns when `mounted` there, or when a proxy serves PNS there together with the pages of its
    `fleet`.
    """
    demo = _Demo(pns, sessions, process, where="process" if process else "fleet" if fleet else "mounted")
    routes: list[BaseRoute] = [
        *fleet,
        Route("/", demo.home),
        Route("/login", demo.login, methods=["POST"]),
        Route("/logout", demo.logout, methods=["POST"]),
        Route("/notify", demo.notify, methods=["POST"]),
        Route("/answers/{question}/{answer}", demo.answer, methods=["POST"]),
        Route("/restart", demo.restart, methods=["POST"]),
        Route("/cut", demo.cut, methods=["POST"]),
        Route("/logout-elsewhere", demo.logout_elsewhere, methods=["POST"]),
        Route("/pns-auth", demo.who, methods=["POST"]),
        Route("/push-worker.js", demo.push_worker),
        Mount("/assets", StaticFiles(directory=ASSETS)),
    ]
    if mounted is None:
        return Starlette(routes=routes)
    return Starlette(routes=[*routes, Mount("/pns", app=mounted)], lifespan=mounted.lifespan)


class _Demo:
    def __init__(self, pns: Notifies, sessions: Sessions, process: PNSProcess | None, *, where: str) -> None:
        self._pns = pns
        self._sessions = sessions
        self._process = process
        self._where = where
        self._declared = False
        self._likes = 0

    async def home(self, request: Request) -> Response:
        user_id = await self._sessions.user(request)
        if user_id is None:
            return page("login.html")
        await self._declare()
        fleet = "/fleet" if self._where == "fleet" else "/"
        # A service worker must come from the page's own origin. Another port is another origin.
        worker = "/push-worker.js" if self._where == "process" else ""
        holes = {"pns": self._pns_address(request), "where": self._where, "fleet": fleet, "worker": worker}
        holes["operator"] = "" if await self._sessions.operator(request) else "hidden"
        return page("inbox.html", name=USERS[user_id], **holes)

    async def _declare(self) -> None:
        """Tell PNS the categories, once. An application does so at its deploy."""
        if self._declared:
            return
        with suppress(PNSError):  # at the next page, where PNS is away now
            for name, category in words.CATEGORIES.items():
                title, description, defaults, required = category
                await self._pns.declare_category(
                    name, title, description=description, defaults=defaults, required=required
                )
            self._declared = True

    async def login(self, request: Request) -> Response:
        user_id = (await _form(request)).get("user", "")
        if user_id not in USERS:
            return PlainTextResponse("There is no such user.", status_code=400)
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(
            self._sessions.cookie_name,
            self._sessions.begin(user_id),
            max_age=MAX_AGE_SECONDS,
            httponly=True,
            samesite="lax",
        )
        return response

    async def logout(self, request: Request) -> Response:
        user_id = self._sessions.end(request)
        if user_id is not None:
            # Now, rather than at the next recheck. The user's other pages are asked about and come back.
            with suppress(PNSError):  # a recheck ends them where PNS is away now
                await self._pns.disconnect(user_id)
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie(self._sessions.cookie_name)
        return response

    async def notify(self, request: Request) -> Response:
        if await self._sessions.user(request) is None:
            return PlainTextResponse("Log in first.", status_code=401)
        form = await _form(request)
        if form.get("user") not in USERS or not form.get("title"):
            return PlainTextResponse("Choose a user, and give a title.", status_code=400)
        try:
            await self._pns.notify(form["user"], self._asked_for(form))
        except PNSError as error:
            return PlainTextResponse(str(error), status_code=502)
        return Response(status_code=204)

    def _asked_for(self, form: dict[str, str]) -> list[Notification]:
        if form.get("times") == "likes":
            self._likes += words.LIKED_AT_ONCE
            return words.likes(self._likes - words.LIKED_AT_ONCE)
        if form.get("times") == "question":
            return [words.question()]
        return words.written(form)

    async def answer(self, request: Request) -> Response:
        """A button of an invitation was pressed: the invitation goes, its answer comes, on all devices."""
        user_id = await self._sessions.user(request)
        if user_id is None:
            return PlainTextResponse("Log in first.", status_code=401)
        question, answer = request.path_params["question"], request.path_params["answer"]
        if not question.startswith(words.INVITED) or answer not in ("yes", "no"):
            return PlainTextResponse("There is no such question.", status_code=404)
        try:
            await self._pns.withdraw(user_id, question)
            await self._pns.notify(user_id, [words.answered(answer)])
        except PNSError as error:
            return PlainTextResponse(str(error), status_code=502)
        return Response(status_code=204)

    async def restart(self, request: Request) -> Response:
        """PNS ends and starts again, as at every release."""
        return await self._restart(request, away_seconds=0.0)

    async def cut(self, request: Request) -> Response:
        """PNS cannot be reached for a while."""
        return await self._restart(request, away_seconds=AWAY_SECONDS)

    async def _restart(self, request: Request, *, away_seconds: float) -> Response:
        if await self._sessions.user(request) is None:
            return PlainTextResponse("Log in first.", status_code=401)
        if self._process is None:
            return PlainTextResponse("PNS is no process of this application here.", status_code=409)
        try:
            await self._process.restart(away_seconds=away_seconds)
        except PNSError as error:
            return PlainTextResponse(str(error), status_code=502)
        return Response(status_code=204)

    async def logout_elsewhere(self, request: Request) -> Response:
        """End the user's other sessions. PNS asks again about all connections; this session's come back."""
        user_id = self._sessions.end_others(request)
        if user_id is None:
            return PlainTextResponse("Log in first.", status_code=401)
        try:
            await self._pns.disconnect(user_id)
        except PNSError as error:
            return PlainTextResponse(str(error), status_code=502)
        return Response(status_code=204)

    async def who(self, request: Request) -> Response:
        """The user of the device that asks PNS. PNS passes the device's cookies on."""
        user_id = await self._sessions.user(request)
        if user_id is None:
            return JSONResponse({}, status_code=401)
        return JSONResponse({"user_id": user_id, "operator": await self._sessions.operator(request)})

    async def push_worker(self, request: Request) -> Response:
        """The service worker of Web Push, which is PNS's, under this origin."""
        script = f'importScripts("{self._pns_address(request)}/push-worker.js")'
        return Response(script, media_type="text/javascript", headers={"cache-control": "no-cache"})

    def _pns_address(self, request: Request) -> str:
        if self._process is None:
            return "/pns"
        # The name in the address bar: a cookie of localhost is none of 127.0.0.1.
        host = "localhost" if request.headers.get("host", "").startswith("localhost") else "127.0.0.1"
        return f"http://{host}:{self._process.port}"


async def _form(request: Request) -> dict[str, str]:
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}
