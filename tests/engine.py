"""Pieces for tests of the engine: a store that says what the test says, connections that record."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, cast

from pns.contracts.authority import Credentials, Login
from pns.contracts.store import Presence, State, Store, Visitor
from pns.errors import Forbidden, StoreUnavailable
from pns.live.connection import Connection
from pns.model.messages import CloseCode

NOBODY = Credentials(headers=(), forwarded=(), device_id="new-device")


class StubStore:
    """States by user, as the test sets them. `asked` records every read; `away` makes all calls fail."""

    def __init__(self) -> None:
        self.by_user: dict[str, State] = {}
        self.asked: list[list[str]] = []
        self.away = False
        self.written: list[tuple[str, object]] = []
        self.elsewhere: list[Presence] = []
        self.visitors: list[Visitor] = []
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def store(self) -> Store:
        return cast(Store, self)

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        self.asked.append(sorted(user_ids))
        await self.gate.wait()
        self._check()
        return {user_id: self.by_user.get(user_id, State()) for user_id in user_ids}

    async def renew_lease(
        self, node_id: str, until: int, presences: Collection[Presence], *, visitors: Collection[Visitor] = ()
    ) -> None:
        self._check()
        self.visitors += visitors
        self.written.append((node_id, sorted(presences)))

    async def end_lease(self, node_id: str) -> None:
        self._check()
        self.written.append((node_id, "ended"))

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        return [presence for presence in self.elsewhere if presence.user_id == user_id]

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable


class StubConnection:
    """Records what it is told. `news` is what `tell` answers."""

    def __init__(self, user_id: str, device_id: str = "device", since: int = 1, revocation: int = 0) -> None:
        self.user_id = user_id
        self.device_id = device_id
        self.since = since
        self.revocation = revocation
        self.told: list[State] = []
        self.ended: list[CloseCode] = []
        self.news = True
        self.asks: object = None

    @property
    def connection(self) -> Connection:
        return cast(Connection, self)

    def tell(self, state: State, text: str | None = None) -> bool:
        self.told.append(state)
        return self.news

    def end(self, code: CloseCode) -> None:
        self.ended.append(code)


class StubAuthority:
    """Answers from a list, one by one; an exception in it is raised."""

    def __init__(self, *answers: Login | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        self.calls.append({"not_before": not_before, "recheck": recheck})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def operator(self, credentials: Credentials) -> Login:
        raise Forbidden


async def turns(number: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(number):
        await asyncio.sleep(0)
