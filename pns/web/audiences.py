"""Topics, buckets and broadcasts: the application decides who subscribes, and notifies them all at once."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pns.errors import NotFound
from pns.node import Node
from pns.web import audience_schemas as calls
from pns.web.audience_names import bucket, named, topic
from pns.web.audience_schemas import Subscriptions
from pns.web.authorization import Authorization
from pns.web.body import decode, path_user_id, query, read_body
from pns.web.publications import (
    NO_TOPIC,
    find_publication,
    notify_bucket,
    notify_everybody,
    notify_topic,
)
from pns.web.routing import Route
from pns.web.users import answer

T = TypeVar("T")


class AudienceEndpoints:
    """What the application may ask of audiences."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        route = self._authorization.route
        topic, bucket, user = "/topics/{topic}", "/buckets/{bucket}", "subscribers/{user_id}"
        return [
            route("PUT", topic, self.make_topic, calls.MAKE),
            route("DELETE", topic, self.remove_topic, calls.REMOVE),
            route("PUT", f"{topic}/{user}", self.subscribe_to_topic, calls.SUBSCRIBE),
            route("GET", f"{topic}/{user}", self.subscribed_to_topic, calls.SUBSCRIBED),
            route("DELETE", f"{topic}/{user}", self.unsubscribe_from_topic, calls.UNSUBSCRIBE),
            route("POST", f"{topic}/notify", self.notify_topic, calls.NOTIFY),
            route("DELETE", bucket, self.remove_bucket, calls.REMOVE),
            route("PUT", f"{bucket}/{user}", self.subscribe_to_bucket, calls.SUBSCRIBE),
            route("GET", f"{bucket}/{user}", self.subscribed_to_bucket, calls.SUBSCRIBED),
            route("DELETE", f"{bucket}/{user}", self.unsubscribe_from_bucket, calls.UNSUBSCRIBE),
            route("POST", f"{bucket}/changed", self.bucket_changed, calls.CHANGED),
            route("POST", "/broadcast", self.broadcast, calls.BROADCAST),
            route("GET", "/publications/{publication_id}", self.publication, calls.PUBLICATION),
            route("GET", "/users/{user_id}/subscriptions", self.subscriptions, calls.SUBSCRIPTIONS),
        ]

    # ── topics and buckets ────────────────────────────────────────────────────────────────────────────

    async def make_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Make a topic; one that is there stays as it is."""
        query(request, ())
        await self._node.store.audiences.make(_audience(parameters))
        return answer(None, status=204)

    async def remove_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a topic and all its subscriptions."""
        return await self._remove(request, parameters)

    async def remove_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a bucket and all its subscriptions."""
        return await self._remove(request, parameters)

    async def subscribe_to_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Subscribe a user to a topic."""
        return await self._subscribe(request, parameters, make=False)

    async def subscribe_to_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """Subscribe a user to a bucket, which is made if need be."""
        return await self._subscribe(request, parameters, make=True)

    async def subscribed_to_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether a user is subscribed to a topic."""
        return await self._subscribed(request, parameters)

    async def subscribed_to_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether a user is subscribed to a bucket."""
        return await self._subscribed(request, parameters)

    async def unsubscribe_from_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """End a user's subscription to a topic."""
        return await self._unsubscribe(request, parameters)

    async def unsubscribe_from_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """End a user's subscription to a bucket."""
        return await self._unsubscribe(request, parameters)

    async def subscriptions(self, request: Request, parameters: dict[str, str]) -> Response:
        """What a user is subscribed to."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        return answer(await subscriptions_of(self._node, user_id))

    async def _remove(self, request: Request, parameters: dict[str, str]) -> Response:
        query(request, ())
        await self._node.store.audiences.remove(_audience(parameters))
        return answer(None, status=204)

    async def _subscribe(self, request: Request, parameters: dict[str, str], *, make: bool) -> Response:
        audience, user_id = _subscription(request, parameters, make=make)
        if not await self._node.store.audiences.subscribe(audience, user_id, make=make):
            raise NotFound(NO_TOPIC)
        return answer(None, status=204)

    async def _subscribed(self, request: Request, parameters: dict[str, str]) -> Response:
        audience, user_id = _subscription(request, parameters)
        if not await self._node.store.audiences.subscribed(audience, user_id):
            raise NotFound("this user is not subscribed to it")
        return answer(None, status=204)

    async def _unsubscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        audience, user_id = _subscription(request, parameters)
        await self._node.store.audiences.unsubscribe(audience, user_id)
        return answer(None, status=204)

    # ── publications ──────────────────────────────────────────────────────────────────────────────────

    async def notify_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify everybody who is subscribed to a topic."""
        body = await self._read(request, calls.TO_ALL)
        return answer(await notify_topic(self._node, parameters["topic"], body), status=202)

    async def broadcast(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify every user whom PNS knows."""
        body = await self._read(request, calls.TO_ALL)
        return answer(await notify_everybody(self._node, body), status=202)

    async def bucket_changed(self, request: Request, parameters: dict[str, str]) -> Response:
        """Tell everybody who is subscribed to a bucket that it has changed."""
        body = await self._read(request, calls.CHANGE)
        return answer(await notify_bucket(self._node, parameters["bucket"], body), status=202)

    async def publication(self, request: Request, parameters: dict[str, str]) -> Response:
        """How far a publication has come."""
        query(request, ())
        return answer(await find_publication(self._node, parameters["publication_id"]))

    async def _read(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
        return decode(await read_body(request, self._node.settings.limits.max_body_bytes), decoder)


async def subscriptions_of(node: Node, user_id: str) -> Subscriptions:
    """What a user is subscribed to, in the order of names."""
    found = [named(audience) for audience in await node.store.audiences.subscriptions(user_id)]
    return Subscriptions(
        topics=[each.topic for each in found if each.topic],
        buckets=[each.bucket for each in found if each.bucket],
    )


def _audience(parameters: dict[str, str], *, make: bool = False) -> str:
    return topic(parameters["topic"]) if "topic" in parameters else bucket(parameters["bucket"], make=make)


def _subscription(request: Request, parameters: dict[str, str], *, make: bool = False) -> tuple[str, str]:
    """The audience and the user of a path."""
    query(request, ())
    return _audience(parameters, make=make), path_user_id(parameters["user_id"])
