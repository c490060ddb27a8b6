"""GET and PATCH /preferences: the preferences of the user who is logged in, for the user's own devices.

The same login, Origin rule and pace as everywhere else (entrance.py).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pns.node import Node
from pns.web import preference_schemas as calls
from pns.web.body import query
from pns.web.entrance import PREFERENCES, Entrance, Turnstile
from pns.web.registrations import read
from pns.web.routing import Route
from pns.web.subscribe import PREFLIGHT
from pns.web.users import answer


class PreferenceEndpoints:
    """A device's calls for the preferences of its user."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._entrance = entrance
        self._turnstile = Turnstile(node, entrance)
        self._preferences = node.preferences

    @property
    def routes(self) -> list[Route]:
        return [
            Route("GET", PREFERENCES, self.preferences, calls.OWN),
            Route("PATCH", PREFERENCES, self.set_preferences, calls.CHANGE_OWN),
            Route("OPTIONS", PREFERENCES, self.preflight_preferences, PREFLIGHT),
        ]

    async def preferences(self, request: Request, parameters: dict[str, str]) -> Response:
        """This user's preferences: each channel of each category, on or off."""
        device, _, headers = await self._turnstile.enter(request.scope)
        query(request, ())
        response = answer(calls.Preferences(await self._preferences.of(device.user_id)))
        response.raw_headers.extend(headers)
        return response

    async def set_preferences(self, request: Request, parameters: dict[str, str]) -> Response:
        """Turn channels on or off for this user; all others stay."""
        device, _, headers = await self._turnstile.enter(request.scope)
        choices = (await read(request, calls.CHOICES)).preferences
        response = answer(calls.Preferences(await self._preferences.change(device.user_id, choices)))
        response.raw_headers.extend(headers)
        return response

    async def preflight_preferences(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may ask. Nobody is logged in for it."""
        response = answer(None, status=204)
        response.raw_headers.extend(self._entrance.preflight(request.scope))
        return response
