"""Topics, buckets and broadcasts: the application subscribes users, and notifies them all at once."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pns.inbox import given
from pns.inbox.audience_names import bucket, topic
from pns.node import Node
from pns.web import audience_schemas as calls
from pns.web.authorization import Authorization
from pns.web.body import decode_notifications, query, query_limit, read_body
from pns.web.routing import Route
from pns.web.users import answer

T = TypeVar("T")


class AudienceEndpoints:
    """The application's calls for audiences."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._limits = node.settings.limits
        self._subscribers = node.subscribers
        self._publications = node.publications
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        topic, bucket, user = "/topics/{topic}", "/buckets/{bucket}", "subscribers/{user_id}"
        one = "/publications/{publication_id}"
        return self._authorization.guard(
            Route("PUT", topic, self.make_topic, calls.MAKE),
            Route("DELETE", topic, self.remove_topic, calls.REMOVE),
            Route("PUT", f"{topic}/{user}", self.subscribe_to_topic, calls.SUBSCRIBE),
            Route("GET", f"{topic}/{user}", self.subscribed_to_topic, calls.SUBSCRIBED),
            Route("DELETE", f"{topic}/{user}", self.unsubscribe_from_topic, calls.UNSUBSCRIBE),
            Route("POST", f"{topic}/notify", self.notify_topic, calls.NOTIFY),
            Route("DELETE", bucket, self.remove_bucket, calls.REMOVE),
            Route("PUT", f"{bucket}/{user}", self.subscribe_to_bucket, calls.SUBSCRIBE),
            Route("GET", f"{bucket}/{user}", self.subscribed_to_bucket, calls.SUBSCRIBED),
            Route("DELETE", f"{bucket}/{user}", self.unsubscribe_from_bucket, calls.UNSUBSCRIBE),
            Route("POST", f"{bucket}/changed", self.bucket_changed, calls.CHANGED),
            Route("POST", "/broadcast", self.broadcast, calls.BROADCAST),
            Route("GET", "/publications", self.publications, calls.PUBLICATIONS),
            Route("GET", one, self.publication, calls.PUBLICATION),
            Route("DELETE", one, self.take_back, calls.TAKE_BACK),
            Route("GET", "/users/{user_id}/subscriptions", self.subscriptions, calls.SUBSCRIPTIONS),
        )

    # ── topics and buckets ────────────────────────────────────────────────────────────────────────────

    async def make_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Make a topic; an existing topic stays as before."""
        query(request, ())
        await self._subscribers.make(_audience(parameters))
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
        """The user's topics and buckets."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        return answer(await self._subscribers.of(user_id))

    async def _remove(self, request: Request, parameters: dict[str, str]) -> Response:
        query(request, ())
        await self._subscribers.remove(_audience(parameters))
        return answer(None, status=204)

    async def _subscribe(self, request: Request, parameters: dict[str, str], *, make: bool) -> Response:
        audience, user_id = _subscription(request, parameters, make=make)
        await self._subscribers.subscribe(audience, user_id, make=make)
        return answer(None, status=204)

    async def _subscribed(self, request: Request, parameters: dict[str, str]) -> Response:
        audience, user_id = _subscription(request, parameters)
        await self._subscribers.check(audience, user_id)
        return answer(None, status=204)

    async def _unsubscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        audience, user_id = _subscription(request, parameters)
        await self._subscribers.unsubscribe(audience, user_id)
        return answer(None, status=204)

    # ── publications ──────────────────────────────────────────────────────────────────────────────────

    async def notify_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify every subscriber of a topic."""
        body = await self._read(request, calls.TO_ALL)
        return answer(await self._publications.notify_topic(parameters["topic"], body), status=202)

    async def broadcast(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify every user whom PNS knows."""
        body = await self._read(request, calls.TO_EVERYBODY)
        return answer(await self._publications.notify_everybody(body), status=202)

    async def bucket_changed(self, request: Request, parameters: dict[str, str]) -> Response:
        """Tell every subscriber of a bucket that the bucket has changed."""
        body = await self._read(request, calls.CHANGE)
        return answer(await self._publications.notify_bucket(parameters["bucket"], body), status=202)

    async def publication(self, request: Request, parameters: dict[str, str]) -> Response:
        """How far a publication has come."""
        query(request, ())
        return answer(await self._publications.find(parameters["publication_id"]))

    async def publications(self, request: Request, parameters: dict[str, str]) -> Response:
        """The publications that are kept, newest first, each with how far it has come."""
        asked = query(request, {"before", "limit"})
        page = self._publications.page(asked.get("before", ""), query_limit(asked, self._limits))
        return answer(calls.PublicationList(await page))

    async def take_back(self, request: Request, parameters: dict[str, str]) -> Response:
        """Take a publication back: it reaches nobody any more, and leaves the inboxes where it is unseen."""
        query(request, ())
        await self._publications.take_back(parameters["publication_id"])
        return answer(None, status=202)

    async def _read(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
        return decode_notifications(await read_body(request, self._limits.max_body_bytes), decoder)


def _audience(parameters: dict[str, str], *, make: bool = False) -> str:
    return topic(parameters["topic"]) if "topic" in parameters else bucket(parameters["bucket"], make=make)


def _subscription(request: Request, parameters: dict[str, str], *, make: bool = False) -> tuple[str, str]:
    """The audience and the user of a path."""
    query(request, ())
    return _audience(parameters, make=make), given.user(parameters["user_id"])
