"""Paths to endpoints. A path is split before it is decoded: `/users/42%2Fconnections` names the user
`42/connections` (RFC 3986 §2.2). Starlette's router decodes first, so PNS has its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from pns.errors import MethodNotAllowed, NotFound
from pns.web.contract.operation import Operation

Endpoint = Callable[[Request, dict[str, str]], Awaitable[Response]]


class Route(NamedTuple):
    """`template` such as `/users/{user_id}/seen`; the endpoint gets the decoded parameters by name. A
    parameter begins a segment; the text behind it, as in `/{module}.js`, ends the segment.

    `operation` is the endpoint's part of the contract, next to the endpoint's docstring.
    """

    method: str
    template: str
    endpoint: Endpoint
    operation: Operation


class Routes:
    """Finds the endpoint of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._by_shape: dict[int, list[tuple[list[str], Route]]] = {}
        self._plain = {(route.method, route.template): route.endpoint for route in routes}
        for route in routes:
            segments = route.template.split("/")
            self._by_shape.setdefault(len(segments), []).append((segments, route))

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint for a still encoded `path`. Raises NotFound, or MethodNotAllowed with `allow` set."""
        plain = self._plain.get((method, path))
        # A template with parameters names no path: a brace comes encoded, or as a segment's text.
        if plain is not None and "{" not in path:
            return plain, {}
        segments = path.split("/")
        allow: set[str] = set()
        candidates = self._by_shape.get(len(segments), ())
        texts = [unquote(segment) for segment in segments] if candidates else []
        for template, route in candidates:
            parameters = _match(template, segments, texts)
            if parameters is None:
                continue
            if route.method == method or (route.method == "GET" and method == "HEAD"):
                return route.endpoint, parameters
            allow.add(route.method)
        if allow:
            raise MethodNotAllowed(allow)
        raise NotFound


def _match(template: list[str], segments: list[str], texts: list[str]) -> dict[str, str] | None:
    """The parameters of a path that `template` fits: `texts` are its `segments`, decoded."""
    parameters = {}
    for wanted, segment, text in zip(template, segments, texts, strict=True):
        if wanted.startswith("{"):
            name, _, ending = wanted[1:].partition("}")
            if not segment.endswith(ending):
                return None
            try:
                parameters[name] = unquote_to_bytes(segment.removesuffix(ending)).decode()
            except UnicodeDecodeError:
                return None
            if not parameters[name]:
                return None
        elif text != wanted:
            return None
    return parameters


def mount_path(scope: Scope) -> str:
    """The path at which browsers find PNS, decoded: "" for the root, else "/api/pns"."""
    return "".join(f"/{segment}" for segment in scope.get("root_path", "").split("/") if segment)


def _below(path: str, root: str) -> str:
    """`path` without the mount's `root`, or without as much of the root as the path has.

    A proxy may have taken the beginning of the root off, and a host that was told the root (FastAPI's
    `root_path`) does not put the beginning back: root "/api/pns" and path "/pns/subscribe".
    """
    start = 0
    while start >= 0 and start < len(root):
        if (path + "/").startswith(root[start:].rstrip("/") + "/"):
            return path[len(root[start:].rstrip("/")) :]
        start = root.find("/", start + 1)
    return path


def encoded_path(scope: Scope) -> str:
    """The path below the mount point, as on the wire. The work grows with the path's length alone.

    ASGI's `path` is decoded and holds the mount's `root_path`, or the end of the root. `raw_path` is not
    decoded, and servers and frameworks disagree about its beginning. Only one tail of `raw_path` decodes to
    the path: the wanted part.
    """
    below = _below(scope["path"], scope.get("root_path", ""))
    raw = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
    tail = _tail(raw, below)
    return quote(below) if tail is None else tail


def _tail(raw: str, decoded: str) -> str | None:
    """All of `raw`, or the rest of `raw` from a slash on: the part that decodes to `decoded`.

    No character and no escape reaches across a slash, so each segment is decoded once, for all tails. Anybody
    can send 60,000 slashes, and decoding every tail would take seconds.
    """
    whole = unquote(raw)
    if not raw or not whole.endswith(decoded):
        return None
    ahead, start = len(whole) - len(decoded), 0
    while ahead > 0:
        end = raw.find("/", start + 1)
        if end < 0:
            return None
        ahead -= len(unquote(raw[start:end]))
        start = end
    return raw[start:] if ahead == 0 else None
