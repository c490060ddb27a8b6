"""The way from an application's own table into the node of this process: see pns/contracts/outgoing.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from pns.contracts.outgoing import Answer, Later, Refused, Row, Taken
from pns.contracts.store import EVERY_DEVICE, Submission
from pns.errors import Problem, Unavailable
from pns.inbox import given
from pns.inbox.changes import Changes
from pns.inbox.erasure import Erasure
from pns.model.notification import Notification
from pns.model.outgoing import Erase, Errand, item
from pns.runtime.clock import Clock
from pns.settings import LimitsSettings


class OwnIntake:
    """The inboxes of this node."""

    def __init__(self, changes: Changes, erasure: Erasure, *, limits: LimitsSettings, clock: Clock) -> None:
        self._changes = changes
        self._erasure = erasure
        self._limits = limits
        self._clock = clock

    async def check(self) -> str:
        return ""

    async def take(self, rows: Sequence[Row]) -> Answer:
        return await self._answer(lambda: self._changes.notify(self._submissions(rows)))

    async def run_errand(self, user_id: str, wanted: Errand) -> Answer:
        return await self._answer(lambda: self._run(user_id, wanted))

    async def _run(self, user_id: str, wanted: Errand) -> None:
        user = given.user(user_id)
        if isinstance(wanted, Erase):
            await self._erasure.erase(user)
        else:
            device = wanted.device_id
            await self._changes.revoke(
                user, EVERY_DEVICE if device is None else given.name("device_id", device)
            )

    async def _answer(self, call: Callable[[], Awaitable[object]]) -> Answer:
        try:
            await call()
        except Unavailable as error:
            return Later(str(error), error.retry_after)
        except Problem as error:
            return Refused(f"{error.status} {error.code}: {error}")
        return Taken()

    async def close(self) -> None: ...

    def _submissions(self, rows: Sequence[Row]) -> list[Submission]:
        """The notifications of each user in their order. Raises Invalid."""
        users: dict[str, list[Notification]] = {}
        for row in rows:
            users.setdefault(row.user_id, []).append(_notification(row))
        return [
            given.submission(user, notifications, limits=self._limits, clock=self._clock)
            for user, notifications in users.items()
        ]


def _notification(row: Row) -> Notification:
    members = item(row.notification, notification_id=row.id)
    return given.converted(msgspec.json.decode(msgspec.json.encode(members)), Notification)
