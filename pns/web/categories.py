"""Categories and their preferences, as the application declares and changes them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pns.inbox import given
from pns.node import Node
from pns.web import preference_schemas as calls
from pns.web.authorization import Authorization
from pns.web.body import query
from pns.web.registrations import read
from pns.web.routing import Route
from pns.web.users import answer


class CategoryEndpoints:
    """The application's calls for categories and preferences."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._preferences = node.preferences
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        category, preferences = "/categories/{category}", "/users/{user_id}/preferences"
        return self._authorization.guard(
            Route("GET", "/categories", self.categories, calls.CATEGORIES),
            Route("PUT", category, self.declare_category, calls.DECLARE),
            Route("DELETE", category, self.remove_category, calls.REMOVE),
            Route("GET", preferences, self.preferences_of_user, calls.OF_USER),
            Route("PATCH", preferences, self.set_preferences_of_user, calls.CHANGE_OF_USER),
        )

    async def categories(self, request: Request, parameters: dict[str, str]) -> Response:
        """All declared categories."""
        query(request, ())
        return answer(calls.Categories(await self._preferences.declared()))

    async def declare_category(self, request: Request, parameters: dict[str, str]) -> Response:
        """Declare a category for users, or declare it anew."""
        declaration = await read(request, calls.DECLARATION)
        await self._preferences.declare(parameters["category"], declaration)
        return answer(None, status=204)

    async def remove_category(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a category with all choices of users."""
        query(request, ())
        await self._preferences.remove(parameters["category"])
        return answer(None, status=204)

    async def preferences_of_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's preferences: each channel of each category, on or off."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        return answer(calls.Preferences(await self._preferences.of(user_id)))

    async def set_preferences_of_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Turn channels on or off on the user's behalf; all others stay."""
        user_id = given.user(parameters["user_id"])
        choices = (await read(request, calls.CHOICES)).preferences
        return answer(calls.Preferences(await self._preferences.change(user_id, choices)))
