"""GET /openapi.json and GET /asyncapi.json: the contract, made at the first request and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pns.runtime.release import release
from pns.settings import Settings
from pns.web.contract.asyncapi import asyncapi
from pns.web.contract.openapi import openapi
from pns.web.contract.operation import Answer, Operation
from pns.web.contract.schemas import Schema
from pns.web.problems import API_HEADERS
from pns.web.routing import Route

_OPERATION = Operation(caller="anyone", answers=(Answer(200, "The document.", body=dict[str, msgspec.Raw]),))


class ContractEndpoints:
    """The contract of a node. `routes` returns all routes, these two included, once it is called."""

    def __init__(self, settings: Settings, routes: Callable[[], Sequence[Route]]) -> None:
        self._settings = settings
        self._all_routes = routes

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", "/openapi.json", self.openapi, _OPERATION),
            Route("GET", "/asyncapi.json", self.asyncapi, _OPERATION),
        ]

    async def openapi(self, request: Request, parameters: dict[str, str]) -> Response:
        """The endpoints as an OpenAPI 3.1 document."""
        mounted: Schema = {"servers": [{"url": request.scope.get("root_path") or "/"}]}
        return _document(self._openapi | mounted)

    async def asyncapi(self, request: Request, parameters: dict[str, str]) -> Response:
        """A connection's messages as an AsyncAPI 3.0 document."""
        return _document(self._asyncapi)

    @cached_property
    def _openapi(self) -> Schema:
        return openapi(self._settings, self._all_routes(), version=release())

    @cached_property
    def _asyncapi(self) -> Schema:
        return asyncapi(self._settings, version=release())


def _document(document: Schema) -> Response:
    response = Response(msgspec.json.encode(document), media_type="application/json")
    response.raw_headers.extend(API_HEADERS)
    return response
