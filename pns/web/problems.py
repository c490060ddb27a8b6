"""Errors as RFC 9457 `application/problem+json`, for HTTP answers and for refused WebSockets."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pns.errors import Invalid, MethodNotAllowed, Problem, Unauthorized, UpgradeRequired

Headers = list[tuple[bytes, bytes]]

API_HEADERS: Headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: a JSON pointer (RFC 6901) into the body or the name of a parameter, and the remedy."""

    at: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error. `code` is stable and meant for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []


def problem_body(problem: Problem) -> bytes:
    errors = problem.errors if isinstance(problem, Invalid) else []
    return msgspec.json.encode(
        ProblemBody(
            type=f"urn:pns:problem:{problem.code}",
            title=problem.title,
            status=problem.status,
            detail=str(problem),
            code=problem.code,
            errors=[FieldError(at, message) for at, message in errors],
        )
    )


def problem_headers(problem: Problem) -> Headers:
    headers: Headers = [(b"content-type", b"application/problem+json"), *API_HEADERS]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(problem.retry_after).encode()))
    if isinstance(problem, MethodNotAllowed):
        headers.append((b"allow", ", ".join(problem.allow).encode()))
    if isinstance(problem, UpgradeRequired):
        headers.append((b"upgrade", b"websocket"))
    if isinstance(problem, Unauthorized):
        headers.append((b"www-authenticate", b'Bearer realm="pns"'))
    return [*headers, *problem.headers]


def problem_response(problem: Problem, *, extra: Headers | None = None) -> Response:
    """`problem` as an HTTP answer, with `extra` headers."""
    response = Response(problem_body(problem), problem.status)
    response.raw_headers.extend([*problem_headers(problem), *(extra or [])])
    return response


async def refuse_websocket(
    scope: Scope, send: Send, problem: Problem, *, extra: Headers | None = None
) -> None:
    """Answer the opening handshake with `problem`; a server that cannot do that answers a bare 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = problem_body(problem)
    headers = [*problem_headers(problem), (b"content-length", str(len(body)).encode()), *(extra or [])]
    start: dict[str, Any] = {
        "type": "websocket.http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})


def refusal(problem: Problem) -> ASGIApp:
    """An application that refuses every request and every WebSocket with `problem`."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await refuse_websocket(scope, send, problem)
        else:
            await problem_response(problem)(scope, receive, send)

    return refuse
