"""Paths to endpoints. A path is split before it is decoded, so that `/users/42%2Fconnections` is the user
`42/connections` (RFC 3986 §2.2): the reason why this is not Starlette's router, which decodes first.
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
    parameter begins a segment; what follows it, as in `/{module}.js`, ends it.

    `operation` is what the contract shows of it, next to the endpoint's docstring.
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


def encoded_path(scope: Scope) -> str:
    """The path below the mount point, as it was on the wire. The work grows with the path's length alone.

    ASGI's `path` is decoded and holds the mount's `root_path`; `raw_path` is not decoded, and servers and
    frameworks disagree on what precedes it. The wanted part is the one tail of it that decodes to the path.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    below = path[len(root) :] if root and path.startswith(root) else path
    raw = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
    tail = _tail(raw, below)
    return quote(below) if tail is None else tail


def _tail(raw: str, decoded: str) -> str | None:
    """All of `raw`, or the rest of it from one of its slashes on: the one that decodes to `decoded`.

    No character and no escape reaches across a slash, so each segment is decoded once and for all tails:
    anybody can send 60,000 slashes, and decoding every tail takes seconds.
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
