"""The endpoints of the application: parse, one call of the engine, answer.

Every one is authorized before anything of the request is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from msgspec import UNSET, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pns.contracts.store import EVERY_DEVICE, Cursor
from pns.errors import Invalid, UnknownNotification
from pns.model.messages import inbox_item
from pns.model.notification import Page
from pns.model.timestamp import format_timestamp
from pns.node import Node
from pns.web import user_schemas as calls
from pns.web.authorization import Authorization
from pns.web.body import (
    decode_notify,
    decode_seen,
    name,
    path_user_id,
    query,
    query_cursor,
    read_body,
)
from pns.web.export import EXPORT, export_lines
from pns.web.problems import API_HEADERS
from pns.web.routing import Route
from pns.web.user_schemas import DeviceInfo, Inbox, Notified, Unseen, UserInfo


class ApplicationEndpoints:
    """What the application may ask of a node."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        route, user = self._authorization.route, "/users/{user_id}"
        inbox = f"{user}/notifications"
        return [
            route("POST", "/notify", self.notify, calls.NOTIFY),
            route("GET", user, self.user, calls.USER_INFO),
            route("DELETE", user, self.erase, calls.ERASE),
            route("GET", inbox, self.inbox, calls.INBOX),
            route("DELETE", f"{inbox}/{{notification_id}}", self.withdraw, calls.WITHDRAW),
            route("POST", f"{user}/seen", self.seen, calls.SEEN),
            route("GET", f"{user}/export", self.export, EXPORT),
            route("DELETE", f"{user}/connections", self.disconnect, calls.DISCONNECT),
        ]

    async def notify(self, request: Request, parameters: dict[str, str]) -> Response:
        """Store notifications durably and tell the users' devices."""
        limits = self._node.settings.limits
        body = await read_body(request, limits.max_body_bytes)
        appended = await self._node.changes.notify(decode_notify(body, limits, self._node.clock))
        return answer(Notified(appended.notification_ids), status=201 if appended.created else 200)

    async def user(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's unseen count and connected devices."""
        user_id = path_user_id(parameters["user_id"])
        asked = query(request, {"here"}).get("here")
        if asked not in (None, "true"):
            raise Invalid([("here", "must be true, or left out")])
        return answer(await user_info(self._node, user_id, here=asked is not None))

    async def inbox(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's notifications, seen or not, without marking anything."""
        user_id = path_user_id(parameters["user_id"])
        page = await self._page(user_id, query_cursor(request, self._node.settings.limits))
        return answer(Inbox([inbox_item(kept) for kept in page.items]))

    async def seen(self, request: Request, parameters: dict[str, str]) -> Response:
        """Mark notifications seen on the user's behalf."""
        user_id = path_user_id(parameters["user_id"])
        body = decode_seen(await read_body(request, self._node.settings.limits.max_body_bytes))
        if body.notification_ids is None:
            await self._node.changes.mark_all_seen(user_id)
        else:
            await self._node.changes.mark_seen(user_id, body.notification_ids)
        return answer(Unseen(await self._unseen(user_id)))

    async def withdraw(self, request: Request, parameters: dict[str, str]) -> Response:
        """Take one notification back."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        notification_id = name("notification_id", parameters["notification_id"])
        await self._node.changes.withdraw(user_id, notification_id)
        return answer(None, status=204)

    async def export(self, request: Request, parameters: dict[str, str]) -> Response:
        """Everything PNS keeps of the user, a JSON line for each notification, device and subscription."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        lines = export_lines(self._node, user_id)
        # The first page is read before the answer begins, so that a store that is away is a 503.
        first = await anext(lines)
        response = StreamingResponse(_following(first, lines), media_type="application/x-ndjson")
        response.raw_headers.extend(API_HEADERS)
        return response

    async def disconnect(self, request: Request, parameters: dict[str, str]) -> Response:
        """Revoke the user's connections and logins, or those of one device."""
        user_id = path_user_id(parameters["user_id"])
        wanted = query(request, {"device_id"}).get("device_id")
        # An empty one would mean all devices, which only leaving it out may mean.
        device_id = EVERY_DEVICE if wanted is None else name("device_id", wanted)
        await self._node.changes.revoke(user_id, device_id)
        return answer(None, status=202)

    async def erase(self, request: Request, parameters: dict[str, str]) -> Response:
        """Erase the user with everything PNS keeps of them."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        await erase_user(self._node, user_id)
        return answer(None, status=204)

    async def _unseen(self, user_id: str) -> int:
        return (await self._node.store.states([user_id]))[user_id].unseen

    async def _page(self, user_id: str, cursor: Cursor) -> Page:
        try:
            return await self._node.store.inbox(user_id, cursor)
        except UnknownNotification as error:
            at = "after" if cursor.after else "before"
            raise Invalid([(at, str(error))]) from None


async def user_info(node: Node, user_id: str, *, here: bool = False) -> UserInfo:
    """The user's unseen count and the devices connected to any node; `here`: how many to this one."""
    found = await node.presence.devices(user_id)
    own = {presence.device_id: presence.connections for presence in node.hub.presences(user_id)}
    devices = [
        DeviceInfo(id, connections, format_timestamp(since), own.get(id, 0) if here else UNSET)
        for _, id, connections, since in found
    ]
    return UserInfo(user_id, (await node.store.states([user_id]))[user_id].unseen, devices)


async def erase_user(node: Node, user_id: str) -> None:
    """Erase the user, then take back what gateways gave to their devices. A cancelled call stops neither."""
    await node.pushing.registrar.shielded.run(_erase(node, user_id))


async def _erase(node: Node, user_id: str) -> None:
    devices = await node.store.outbox.devices(user_id)
    erased: list[int | None] = []
    try:
        await node.changes.erase(user_id, committed=erased.append)
    finally:
        # The devices are gone with the first commit, also where a later one failed.
        if any(erased):
            for device in devices:
                await node.pushing.registrar.released(device)


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
