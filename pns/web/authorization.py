"""Who may call the application's endpoints: every one of them is authorized before anything else is read."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pns.contracts.authority import ApplicationAuthority
from pns.errors import Unauthorized
from pns.web.contract.operation import Operation
from pns.web.routing import Endpoint, Route


class Authorization:
    """Makes routes that only the application may take."""

    def __init__(self, authority: ApplicationAuthority) -> None:
        self._authority = authority

    def route(self, method: str, template: str, endpoint: Endpoint, operation: Operation) -> Route:
        """A route whose endpoint is not called before the caller is known to speak for the application."""

        async def authorized(request: Request, parameters: dict[str, str]) -> Response:
            await self.check(request)
            return await endpoint(request, parameters)

        authorized.__doc__ = endpoint.__doc__
        authorized.__name__ = getattr(endpoint, "__name__", "endpoint")
        return Route(method, template, authorized, operation)

    async def check(self, request: Request) -> None:
        """Return if the caller speaks for the application. Raises Unauthorized or AuthUnavailable."""
        values = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(values) > 1:
            raise Unauthorized("more than one Authorization header; send one")
        await self._authority.authorize(values[0] if values else None)
