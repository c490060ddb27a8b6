"""The operator's pages, from a path to an answer.

Every request passes access.py first, whatever its path and method. The pages are no part of the contract:
OpenAPI names none, for nobody but an operator shall learn of the pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from pns.errors import Invalid, MethodNotAllowed, NotFound, Problem
from pns.node import Node
from pns.web.entrance import Entrance
from pns.web.operator import rendering
from pns.web.operator.access import Access
from pns.web.operator.audit import audit
from pns.web.operator.composer import Composed, composed, preview, send
from pns.web.operator.forms import fields
from pns.web.operator.overview import overview
from pns.web.operator.publications import publications, take_back
from pns.web.operator.user import user
from pns.web.routing import encoded_path

ROOT = "operator"
View = Callable[[Node, Request], Awaitable[Mapping[str, object]]]
"""Reads what a page shows: the values of its template."""

VIEWS: Mapping[str, View] = {
    "": overview,
    "user": user,
    "publications": publications,
    "audit": audit,
}
COMPOSER = "compose"
TAKE_BACK = "take-back"


def is_addressed(path: str) -> bool:
    """Whether the still encoded `path` is one of the operator's."""
    return unquote(path.split("/")[1] if "/" in path else "") == ROOT


class OperatorPages:
    """The pages of a node."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._access = Access(node, entrance)

    async def answer(self, request: Request, parameters: dict[str, str]) -> Response:
        """The page for an operator. Raises NotFound for everybody else."""
        operator = await self._access.enter(request.scope)
        path = encoded_path(request.scope)
        _, _, name = path.strip("/").partition("/")
        frame = {"base": _base(path), "operator": operator, "here": name}
        try:
            return await self._page(name, request, frame)
        except Problem as problem:
            values = {**frame, "problem": problem, "errors": _errors(problem)}
            return rendering.page("problem.html", values, status=problem.status)

    async def _page(self, name: str, request: Request, frame: Mapping[str, object]) -> Response:
        if name == "operator.css":
            return rendering.style()
        if name in (COMPOSER, TAKE_BACK):
            return await self._act(name, request, frame)
        if name not in VIEWS:
            raise NotFound
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET"])
        template = f"{name or 'overview'}.html"
        return rendering.page(template, {**frame, **await VIEWS[name](self._node, request)})

    async def _act(self, name: str, request: Request, frame: Mapping[str, object]) -> Response:
        """A form, or what a form asks for. A GET changes nothing."""
        if request.method in ("GET", "HEAD") and name == COMPOSER:
            form = Composed(name=request.query_params.get("id", ""))
            return rendering.page("compose.html", {**frame, "form": form, "preview": False, "errors": []})
        if request.method != "POST":
            raise MethodNotAllowed(["POST"] if name == TAKE_BACK else ["GET", "POST"])
        given, operator = await fields(request, self._node), str(frame["operator"])
        if name == TAKE_BACK:
            following = await take_back(self._node, given, operator=operator)
            return rendering.redirect(f"{frame['base']}/{following}")
        return await self._compose(given, operator, frame)

    async def _compose(
        self, given: Mapping[str, str], operator: str, frame: Mapping[str, object]
    ) -> Response:
        try:
            form = composed(given)
            if given.get("step") == "send":
                following = await send(self._node, form, operator=operator)
                return rendering.redirect(f"{frame['base']}/{following}")
            shown = {} if given.get("step") == "edit" else await preview(self._node, form)
        except Invalid as invalid:
            form = Composed(**{name: given.get(name, "") for name in Composed._fields})
            values = {"form": form, "preview": False, "errors": invalid.errors}
            return rendering.page("compose.html", {**frame, **values}, status=422)
        return rendering.page(
            "compose.html", {**frame, "form": form, "preview": False, "errors": [], **shown}
        )


def _base(path: str) -> str:
    """The way from the page at the still encoded `path` to the pages' root.

    The way is relative, since a proxy may have taken the path of PNS off, and PNS cannot put the path back.
    """
    depth = path.count("/") - 1
    return "/".join([".."] * (depth - 1)) or "." if depth else ROOT


def _errors(problem: Problem) -> list[tuple[str, str]]:
    return list(problem.errors) if isinstance(problem, Invalid) else []
