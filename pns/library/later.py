"""Pending notifications in the library: a method of PNS beside those of pns/library/__init__.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pns.inbox import given
from pns.library.calls import Calls
from pns.model.device import UserId
from pns.model.messages import InboxItem


class LaterCalls(Calls):
    """A part of PNS."""

    async def pending(self, user_id: UserId) -> AsyncIterator[InboxItem]:
        """Every notification of the user that waits for its `deliver_date`, or for the end of a snooze, the
        first to come first, read in pages.
        """
        user = given.user_of_call("pending", user_id)
        async for page in (await self._node()).reading.pending(user):
            for item in page:
                yield item
