"""The endpoints of /users and /notify: each parses, makes one call, and answers.

Every request is authorized before PNS reads anything of the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pns.contracts.store import EVERY_DEVICE
from pns.errors import Invalid, UnknownNotification
from pns.inbox import given
from pns.node import Node
from pns.web import user_schemas as calls
from pns.web.authorization import Authorization
from pns.web.body import (
    decode_mark,
    decode_notify,
    decode_seen,
    query,
    query_inbox,
    read_body,
)
from pns.web.export import EXPORT, export_lines
from pns.web.problems import API_HEADERS
from pns.web.routing import Route
from pns.web.user_schemas import Inbox, Notified, Unseen


class ApplicationEndpoints:
    """The application's calls for users."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        user = "/users/{user_id}"
        inbox = f"{user}/notifications"
        return self._authorization.guard(
            Route("POST", "/notify", self.notify, calls.NOTIFY),
            Route("GET", user, self.user, calls.USER_INFO),
            Route("DELETE", user, self.erase, calls.ERASE),
            Route("GET", inbox, self.inbox, calls.INBOX),
            Route("DELETE", f"{inbox}/{{notification_id}}", self.withdraw, calls.WITHDRAW),
            Route("POST", f"{user}/seen", self.seen, calls.SEEN),
            Route("POST", f"{user}/marks", self.mark, calls.MARKS),
            Route("GET", f"{user}/export", self.export, EXPORT),
            Route("DELETE", f"{user}/connections", self.disconnect, calls.DISCONNECT),
        )

    async def notify(self, request: Request, parameters: dict[str, str]) -> Response:
        """Store notifications durably and tell the users' devices."""
        limits = self._node.settings.limits
        body = await read_body(request, limits.max_body_bytes)
        appended = await self._node.changes.notify(decode_notify(body, limits, self._node.clock))
        return answer(Notified(appended.notification_ids), status=201 if appended.created else 200)

    async def user(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's counts and connected devices."""
        user_id = given.user(parameters["user_id"])
        asked = query(request, {"here", "counts"})
        for name, only in (("here", "true"), ("counts", "category")):
            if asked.get(name, only) != only:
                raise Invalid([(name, f"must be {only}, or left out")])
        info = await self._node.reading.user(user_id, here="here" in asked, categories="counts" in asked)
        return answer(info)

    async def inbox(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's notifications, seen or not, or those that wait, without marking anything."""
        user_id = given.user(parameters["user_id"])
        cursor = query_inbox(request, self._node.settings.limits)
        try:
            return answer(Inbox(await self._node.reading.page(user_id, cursor)))
        except UnknownNotification as error:
            raise Invalid([("after" if cursor.after else "before", str(error))]) from None

    async def seen(self, request: Request, parameters: dict[str, str]) -> Response:
        """Mark notifications seen on the user's behalf."""
        user_id = given.user(parameters["user_id"])
        body = decode_seen(await read_body(request, self._node.settings.limits.max_body_bytes))
        return answer(Unseen(await self._node.changes.seen(user_id, body.notification_ids)))

    async def mark(self, request: Request, parameters: dict[str, str]) -> Response:
        """Mark notifications seen, read or archived, or take a mark back, on the user's behalf."""
        user_id = given.user(parameters["user_id"])
        wanted = decode_mark(await read_body(request, self._node.settings.limits.max_body_bytes))
        return answer(await self._node.changes.marks(user_id, wanted))

    async def withdraw(self, request: Request, parameters: dict[str, str]) -> Response:
        """Take a notification back, or a member out of its group."""
        user_id = given.user(parameters["user_id"])
        asked = query(request, {"member"}).get("member")
        notification_id = given.name("notification_id", parameters["notification_id"])
        member = None if asked is None else given.name("member", asked)
        await self._node.changes.withdraw(user_id, notification_id, member)
        return answer(None, status=204)

    async def export(self, request: Request, parameters: dict[str, str]) -> Response:
        """Everything PNS keeps of the user, one JSON line for each thing."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        lines = export_lines(self._node.reading, user_id)
        # The first page is read before the answer begins, so that a store that is away is a 503.
        first = await anext(lines)
        response = StreamingResponse(_following(first, lines), media_type="application/x-ndjson")
        response.raw_headers.extend(API_HEADERS)
        return response

    async def disconnect(self, request: Request, parameters: dict[str, str]) -> Response:
        """Revoke the user's connections and logins, or a device's."""
        user_id = given.user(parameters["user_id"])
        wanted = query(request, {"device_id"}).get("device_id")
        # An empty one would mean all devices, which only leaving it out may mean.
        device_id = EVERY_DEVICE if wanted is None else given.name("device_id", wanted)
        await self._node.changes.revoke(user_id, device_id)
        return answer(None, status=202)

    async def erase(self, request: Request, parameters: dict[str, str]) -> Response:
        """Erase the user with everything PNS keeps of them."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        await self._node.erasure.erase(user_id)
        return answer(None, status=204)


async def _following(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for lines in rest:
        yield lines


def answer(body: Struct | None, *, status: int = 200) -> Response:
    """`body` as JSON; None for an empty answer."""
    content = b"" if body is None else msgspec.json.encode(body)
    response = Response(content, status, media_type=None if body is None else "application/json")
    response.raw_headers.extend(API_HEADERS)
    return response
