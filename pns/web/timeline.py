"""GET /users/{user_id}/timeline: what happened to each notification of a user."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from pns.errors import Invalid
from pns.inbox import given
from pns.model.timeline import TimelineItem
from pns.node import Node
from pns.web.authorization import Authorization
from pns.web.body import query, query_limit
from pns.web.contract.operation import USER, Answer, Operation, Parameter
from pns.web.routing import Route
from pns.web.users import answer


class TimelinePage(Struct, frozen=True):
    timeline: list[TimelineItem]


TIMELINE = Operation(
    caller="application",
    parameters=(
        Parameter("after", "Oldest first, behind the line with this `id`.", str),
        Parameter("before", "Newest first, before the line with this `id`; empty: from the newest.", str),
        Parameter(
            "limit",
            "Default and most {limits.page_size} (`limits.page_size`).",
            Annotated[int, Meta(ge=1, le=10**18 - 1)],
        ),
    ),
    answers=(Answer(200, "A page; an empty one is the end.", body=TimelinePage),),
    problems=USER,
)


class TimelineEndpoint:
    """The timeline, for an application with an operators' page of its own."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        return self._authorization.guard(Route("GET", "/users/{user_id}/timeline", self.timeline, TIMELINE))

    async def timeline(self, request: Request, parameters: dict[str, str]) -> Response:
        """What happened to the user's notifications, in the order of time."""
        user_id = given.user(parameters["user_id"])
        asked = query(request, {"after", "before", "limit"})
        if asked.get("after") and "before" in asked:
            raise Invalid([("before", "give `after` or `before`, not both")])
        lines = await self._node.timeline.page(
            user_id,
            after=asked.get("after", ""),
            before=asked.get("before"),
            limit=query_limit(asked, self._node.settings.limits),
        )
        return answer(TimelinePage(lines))
