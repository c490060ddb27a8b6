"""Topics and buckets: makes and removes them, and subscribes users.

A topic exists when the application has made it. A bucket exists from its first subscriber on. Notifying an
audience stands in publications.py.
"""

from __future__ import annotations

from pns.contracts.audiences import Audiences
from pns.errors import NotFound
from pns.inbox.audience_names import named
from pns.model.answers import Subscriptions

NO_TOPIC = "there is no such topic; make it with PUT /topics/{topic}"


class Subscribers:
    """`audience`, everywhere: made by `audience_names.topic` or `audience_names.bucket`."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences

    async def make(self, audience: str) -> None:
        """Make a topic. A topic that exists stays as it is."""
        await self._audiences.make(audience)

    async def remove(self, audience: str) -> None:
        """Remove an audience with all its subscriptions."""
        await self._audiences.remove(audience)

    async def subscribe(self, audience: str, user_id: str, *, make: bool) -> None:
        """Subscribe a user. `make`: make the audience if need be. Raises NotFound."""
        if not await self._audiences.subscribe(audience, user_id, make=make):
            raise NotFound(NO_TOPIC)

    async def unsubscribe(self, audience: str, user_id: str) -> None:
        """End a user's subscription. Safe to repeat."""
        await self._audiences.unsubscribe(audience, user_id)

    async def check(self, audience: str, user_id: str) -> None:
        """Return if the user is subscribed. Raises NotFound."""
        if not await self._audiences.subscribed(audience, user_id):
            raise NotFound("this user is not subscribed to it")

    async def of(self, user_id: str) -> Subscriptions:
        """The user's subscriptions, in the order of names."""
        found = [named(audience) for audience in await self._audiences.subscriptions(user_id)]
        return Subscriptions(
            topics=[each.topic for each in found if each.topic],
            buckets=[each.bucket for each in found if each.bucket],
        )
