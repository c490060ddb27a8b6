"""Topics, buckets and broadcasts: the application decides who subscribes, and notifies them all at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pns.audience import EVERYBODY, Publication
from pns.errors import NotFound, PublicationConflict
from pns.node import Node
from pns.notification import new_notification_id
from pns.push import Origin
from pns.web import audience_calls as calls
from pns.web.application import answer
from pns.web.audience_calls import Published, Subscriptions, ToAll
from pns.web.audience_names import bucket, topic
from pns.web.authorization import Authorization
from pns.web.body import checked, name, path_user_id, query, read_body
from pns.web.routing import Route


class AudienceEndpoints:
    """What the application may ask of audiences."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization

    @property
    def routes(self) -> list[Route]:
        route = self._authorization.route
        topic, bucket = "/topics/{topic}", "/buckets/{bucket}/subscribers/{user_id}"
        in_topic = f"{topic}/subscribers/{{user_id}}"
        return [
            route("PUT", topic, self.make_topic, calls.MAKE),
            route("DELETE", topic, self.remove_topic, calls.REMOVE),
            route("PUT", in_topic, self.subscribe_to_topic, calls.SUBSCRIBE),
            route("GET", in_topic, self.subscribed_to_topic, calls.SUBSCRIBED),
            route("DELETE", in_topic, self.unsubscribe_from_topic, calls.UNSUBSCRIBE),
            route("POST", f"{topic}/notify", self.notify_topic, calls.NOTIFY),
            route("PUT", bucket, self.subscribe_to_bucket, calls.SUBSCRIBE),
            route("GET", bucket, self.subscribed_to_bucket, calls.SUBSCRIBED),
            route("DELETE", bucket, self.unsubscribe_from_bucket, calls.UNSUBSCRIBE),
            route("POST", "/buckets/{bucket}/changed", self.bucket_changed, calls.CHANGED),
            route("POST", "/broadcast", self.broadcast, calls.BROADCAST),
            route("GET", "/publications/{publication_id}", self.publication, calls.PUBLICATION),
            route("GET", "/users/{user_id}/subscriptions", self.subscriptions, calls.SUBSCRIPTIONS),
        ]

    # ── topics and buckets ────────────────────────────────────────────────────────────────────────────

    async def make_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Make a topic; one that is there stays as it is."""
        query(request, ())
        await self._node.store.audiences.make(topic(parameters))
        return answer(None, status=204)

    async def remove_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a topic and all its subscriptions."""
        query(request, ())
        await self._node.store.audiences.remove(topic(parameters))
        return answer(None, status=204)

    async def subscribe_to_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Subscribe a user to a topic."""
        return await self._subscribe(topic(parameters), request, parameters, make=False)

    async def subscribe_to_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """Subscribe a user to a bucket, which is made if need be."""
        return await self._subscribe(bucket(parameters), request, parameters, make=True)

    async def subscribed_to_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether a user is subscribed to a topic."""
        return await self._subscribed(topic(parameters), request, parameters)

    async def subscribed_to_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether a user is subscribed to a bucket."""
        return await self._subscribed(bucket(parameters), request, parameters)

    async def unsubscribe_from_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """End a user's subscription to a topic."""
        return await self._unsubscribe(topic(parameters), request, parameters)

    async def unsubscribe_from_bucket(self, request: Request, parameters: dict[str, str]) -> Response:
        """End a user's subscription to a bucket."""
        return await self._unsubscribe(bucket(parameters), request, parameters)

    async def subscriptions(self, request: Request, parameters: dict[str, str]) -> Response:
        """What a user is subscribed to."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        found = [kind.split("/", 1) for kind in await self._node.store.audiences.subscriptions(user_id)]
        topics, buckets = ([name for kind, name in found if kind == each] for each in ("topic", "bucket"))
        return answer(Subscriptions(topics, buckets))

    async def _subscribe(
        self, audience: str, request: Request, parameters: dict[str, str], *, make: bool
    ) -> Response:
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        if not await self._node.store.audiences.subscribe(audience, user_id, make=make):
            raise NotFound(NO_TOPIC)
        return answer(None, status=204)

    async def _subscribed(self, audience: str, request: Request, parameters: dict[str, str]) -> Response:
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        if not await self._node.store.audiences.subscribed(audience, user_id):
            raise NotFound("this user is not subscribed to it")
        return answer(None, status=204)

    async def _unsubscribe(self, audience: str, request: Request, parameters: dict[str, str]) -> Response:
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        await self._node.store.audiences.unsubscribe(audience, user_id)
        return answer(None, status=204)

    # ── publications ──────────────────────────────────────────────────────────────────────────────────

    async def notify_topic(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify everybody who is subscribed to a topic."""
        audience, named = topic(parameters), parameters["topic"]
        body = await self._body(request)
        if not await self._node.store.audiences.exists(audience):
            raise NotFound(NO_TOPIC)
        return await self._publish(audience, body, Origin(topic=named, sender=body.sender))

    async def broadcast(self, request: Request, parameters: dict[str, str]) -> Response:
        """Notify every user whom PNS knows."""
        body = await self._body(request)
        return await self._publish(EVERYBODY, body, Origin(sender=body.sender))

    async def bucket_changed(self, request: Request, parameters: dict[str, str]) -> Response:
        """Tell everybody who is subscribed to a bucket that it has changed."""
        audience, named = bucket(parameters), parameters["bucket"]
        limits = self._node.settings.limits
        body = calls.decode_changed(await read_body(request, limits.max_body_bytes))
        origin = calls.origin_of(body, named)
        wanted = ToAll([calls.notification_of(body, named, origin)], publication_id=body.publication_id)
        checked(wanted.notifications, limits=limits, clock=self._node.clock)
        return await self._publish(audience, wanted, origin)

    async def publication(self, request: Request, parameters: dict[str, str]) -> Response:
        """How far a publication has come."""
        query(request, ())
        publication_id = name("publication_id", parameters["publication_id"])
        found = await self._node.store.audiences.publication(publication_id)
        if found is None:
            raise NotFound("there is no such publication, or it was complete long ago")
        return answer(calls.info_of(found))

    async def _body(self, request: Request) -> ToAll:
        limits = self._node.settings.limits
        body = calls.decode_to_all(await read_body(request, limits.max_body_bytes))
        checked(body.notifications, limits=limits, clock=self._node.clock)
        return body

    async def _publish(self, audience: str, body: ToAll, origin: Origin) -> Response:
        now = self._node.clock.now()
        publication = Publication(
            publication_id=body.publication_id or new_notification_id(now),
            audience=audience,
            notifications=calls.with_ids(body, now),
            origin=origin,
            create_date=now,
        )
        kept = await self._node.publisher.publish(publication)
        if not calls.same(kept, publication):
            raise PublicationConflict
        ids = [notification.notification_id or "" for notification in kept.notifications]
        return answer(Published(kept.publication_id, ids), status=202)


NO_TOPIC = "there is no such topic; make it with PUT /topics/{topic}"
