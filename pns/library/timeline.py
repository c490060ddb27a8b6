"""The timeline in the library: a method of PNS beside those of pns/library/__init__.py."""

from __future__ import annotations

from pns.errors import Invalid
from pns.inbox import given
from pns.library.calls import Calls, require_limit
from pns.model.device import UserId
from pns.model.timeline import TimelineItem


class TimelineCalls(Calls):
    """A part of PNS."""

    async def timeline(
        self, user_id: UserId, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[TimelineItem]:
        """What happened to each notification of the user, a line for each thing.

        Oldest first behind the line with the id `after`, or newest first before the line with the id
        `before`; `before=""` begins at the newest. At most `limit` lines, and `limits.page_size`; none at
        the end.
        """
        if after and before is not None:
            raise Invalid([("before", "give `after` or `before`, not both")])
        require_limit(limit)
        user = given.user_of_call("timeline", user_id)
        return await (await self._node()).timeline.page(user, after=after, before=before, limit=limit)
