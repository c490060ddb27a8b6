"""The endpoints as an OpenAPI 3.1 document, from the routes and their types. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pns import errors
from pns.errors import MethodNotAllowed, Problem, Unauthorized
from pns.inbox.audience_names import TOPIC_PATTERN
from pns.settings import LimitsSettings, Settings
from pns.web.contract.operation import Answer, Operation, Parameter
from pns.web.contract.schemas import NAME, USER_ID, Schema, schema, schemas
from pns.web.problems import ProblemBody
from pns.web.routing import Route

_TAGS = {
    "application": "Calls of the application, with its key or access token.",
    "device": "Calls of a browser or app, with the application's own login and the device cookie.",
    "operator": "For whoever runs PNS.",
    "anyone": "The contract itself.",
}
_PARAMETERS: Mapping[str, tuple[Schema, str]] = {
    "user_id": (
        USER_ID,
        "The user, percent-encoded as one segment: `/` as `%2F`. One that PNS never heard of has nothing.",
    ),
    "module": (
        {"type": "string", "pattern": "^[a-z-]+(-[0-9][0-9a-z.]*)?$"},
        "Such as `client`, or with the version of this PNS behind it: that one never changes.",
    ),
    "device_id": (NAME, "As the registration was answered."),
    "topic": (
        {"type": "string", "pattern": TOPIC_PATTERN},
        "`app:NAME`, `group:ID:NAME` or `user:ID:NAME`, percent-encoded as one segment.",
    ),
    "bucket": (NAME, "A collection of the application's; a new one is not `.` or `..`."),
    "category": (NAME, "As notifications name it; a new one is not `.` or `..`."),
    "publication_id": (NAME, "As the call that published was answered."),
    "notification_id": (NAME, "One that is not kept any more is withdrawn already."),
}
_SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    "application": [{"application": []}],
    "device": [{"login": []}],
}


def openapi(settings: Settings, routes: Sequence[Route], *, version: str) -> Schema:
    """The document, without `servers`: only a request knows the mount point."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PNS",
            "version": version,
            "summary": "A notification inbox and live push for web applications.",
            "description": (
                "Errors are RFC 9457 problems; `code` is stable. After any error nothing was stored. A path "
                "that is not listed is answered 404 `not_found`, a method that is not, 405 "
                "`method_not_allowed`. What a connection speaks stands in asyncapi.json."
            ),
        },
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(settings, routes),
        "components": {
            "schemas": _schemas(settings, routes),
            "responses": {problem.__name__: _problem_answer([problem]) for problem in problem_classes()},
            "securitySchemes": _security_schemes(),
        },
    }


def problem_classes(root: type[Problem] = Problem) -> list[type[Problem]]:
    """The class of every error in errors.py that can be an answer."""
    subclasses = [found for child in root.__subclasses__() for found in problem_classes(child)]
    own = [root] if root.__module__ == errors.__name__ else []
    return own + subclasses


def _paths(settings: Settings, routes: Iterable[Route]) -> Schema:
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(settings, route)
    return paths


def _operation(settings: Settings, route: Route) -> Schema:
    operation, limits = route.operation, settings.limits
    described: Schema = {
        "operationId": getattr(route.endpoint, "__name__", ""),
        "summary": (route.endpoint.__doc__ or "").strip(),
        "tags": [operation.caller],
        "security": _security(operation, settings),
        "responses": {**_answers(operation), **_problems(operation)},
    }
    parameters = [*_path_parameters(route.template), *_query_parameters(operation.parameters, limits)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "description": _body_limit(operation.body_limit, limits),
            "content": {media_type: _body(operation, media_type) for media_type in operation.media_types},
        }
    return described


def _body_limit(limit: str | int, limits: LimitsSettings) -> str:
    if isinstance(limit, int):
        return f"At most {limit} bytes."
    return f"At most {getattr(limits, limit)} bytes (`limits.{limit}`)."


def _body(operation: Operation, media_type: str) -> Schema:
    shape: Schema = schema(operation.body) if "json" in media_type else {"type": "string"}
    return {"schema": shape}


def _security(operation: Operation, settings: Settings) -> list[dict[str, list[str]]]:
    if operation.caller == "operator" and Unauthorized in operation.problems:
        return [] if settings.server.public_metrics else _SECURITY["application"]
    return _SECURITY.get(operation.caller, []) if Unauthorized in operation.problems else []


def _path_parameters(template: str) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", template):
        shape, description = _PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "schema": shape, "description": description}


def _query_parameters(parameters: Iterable[Parameter], limits: LimitsSettings) -> Iterator[Schema]:
    for parameter in parameters:
        yield {
            "name": parameter.name,
            "in": "query",
            "schema": schema(parameter.shape),
            "description": parameter.description.format(limits=limits),
        }


def _answers(operation: Operation) -> Schema:
    return {str(answer.status): _answer(answer) for answer in operation.answers}


def _answer(answer: Answer) -> Schema:
    described: Schema = {"description": answer.description}
    headers = {name: _header(text) for name, text in answer.headers.items()}
    headers |= {name: _header(text) | {"required": False} for name, text in answer.may_have.items()}
    if headers:
        described["headers"] = headers
    if answer.body is not None:
        described["content"] = {answer.media_type: {"schema": schema(answer.body)}}
    return described


def _problems(operation: Operation) -> Schema:
    """Any endpoint may fail inside, too. Several problems may share a status; `code` tells them apart."""
    by_status: dict[int, list[type[Problem]]] = {}
    anywhere: list[type[Problem]] = [Problem]
    for problem in [*operation.problems, *anywhere]:
        by_status.setdefault(problem.status, []).append(problem)
    return {
        str(status): (
            {"$ref": f"#/components/responses/{problems[0].__name__}"}
            if len(problems) == 1
            else _problem_answer(problems)
        )
        for status, problems in by_status.items()
    }


def _problem_answer(problems: Sequence[type[Problem]]) -> Schema:
    codes = [problem.code for problem in problems]
    described: Schema = {
        "description": " ".join(f"`{problem.code}`: {errors.text_of(problem)}" for problem in problems),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        schema(ProblemBody),
                        {"properties": {"code": {"enum": codes}, "status": {"const": problems[0].status}}},
                    ]
                }
            }
        },
    }
    headers = _problem_headers(problems)
    if headers:
        described["headers"] = headers
    return described


def _problem_headers(problems: Sequence[type[Problem]]) -> Schema:
    headers: Schema = {}
    if all(problem.retry_after is not None for problem in problems):
        headers["Retry-After"] = _header("Seconds to wait before the next try.", {"type": "integer"})
    if Unauthorized in problems:
        headers["WWW-Authenticate"] = _header("How to authorize (RFC 9110 §11.6.1).")
    if MethodNotAllowed in problems:
        headers["Allow"] = _header("The methods that the path takes.")
    return headers


def _header(description: str, shape: Schema | None = None) -> Schema:
    return {"description": description, "required": True, "schema": shape or {"type": "string"}}


def _security_schemes() -> Schema:
    return {
        "application": {
            "type": "http",
            "scheme": "bearer",
            "description": "One of `app.api_keys`, or an access token where `app.oauth2` is set.",
        },
        "login": {
            "type": "apiKey",
            "in": "cookie",
            "name": "session",
            "description": (
                "The application's own login, under whatever name: PNS passes the headers of "
                "`auth.forward_headers` on to `auth.url`, and the answer decides."
            ),
        },
    }


def _schemas(settings: Settings, routes: Iterable[Route]) -> Schema:
    types: list[Any] = [ProblemBody]
    for route in routes:
        types += [answer.body for answer in route.operation.answers if answer.body is not None]
        types += [route.operation.body] if route.operation.body is not None else []
    found = schemas(types, settings)
    found["ProblemBody"]["properties"]["code"]["enum"] = [problem.code for problem in problem_classes()]
    found["ProblemBody"]["properties"]["status"]["enum"] = sorted(
        {int(HTTPStatus(problem.status)) for problem in problem_classes()}
    )
    return found
