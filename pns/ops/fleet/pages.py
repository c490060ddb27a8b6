"""The fleet in the demo application: the node of each connection, and buttons to kill a node."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pns.errors import PNSError
from pns.model.notification import Notification
from pns.ops.demo.application import USERS
from pns.ops.demo.page import page
from pns.ops.demo.sessions import Sessions
from pns.ops.fleet.nodes import FleetNode, Nodes

Act = Callable[[FleetNode, str], Awaitable[object]]


class FleetPages:
    """The pages of the fleet, for logged-in users of the application."""

    def __init__(self, nodes: Nodes, sessions: Sessions) -> None:
        self._nodes = nodes
        self._sessions = sessions

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/fleet", self.page),
            Route("/fleet/state", self.state),
            *(Route(f"/fleet/{{node}}/{act.__name__}", self._acting(act), methods=["POST"]) for act in ACTS),
        ]

    async def page(self, request: Request) -> Response:
        user_id = await self._sessions.user(request)
        if user_id is None:
            return RedirectResponse("/", status_code=303)
        return page("fleet.html", pns="/pns", name=USERS[user_id], where="fleet")

    async def state(self, request: Request) -> Response:
        """The state of every node at this moment."""
        if await self._sessions.user(request) is None:
            return PlainTextResponse("Log in first.", status_code=401)
        nodes = await self._nodes.describe(USERS)
        return JSONResponse({"users": USERS, "nodes": nodes}, headers={"cache-control": "no-store"})

    def _acting(self, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            user_id = await self._sessions.user(request)
            if user_id is None:
                return PlainTextResponse("Log in first.", status_code=401)
            node = self._nodes.by_name.get(request.path_params["node"])
            if node is None:
                return PlainTextResponse("There is no such node.", status_code=404)
            try:
                await act(node, user_id)
            except PNSError as error:
                return PlainTextResponse(str(error), status_code=502)
            return Response(status_code=204)

        return endpoint


async def kill(node: FleetNode, user_id: str) -> None:
    """End the node by kill -9: its connections get no goodbye."""
    await node.process.kill()


async def restart(node: FleetNode, user_id: str) -> None:
    """Restart the node, as at a release, or after `kill`."""
    await node.process.restart()


async def notify(node: FleetNode, user_id: str) -> None:
    """Notify the user through this node."""
    words = {"title": f"Hello from node {node.name}", "body": "Wherever you are connected."}
    await node.remote.notify(user_id, [Notification(json.dumps(words))])


ACTS: tuple[Act, ...] = (kill, restart, notify)
