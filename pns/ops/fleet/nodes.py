"""The nodes of the fleet: processes with names. Each node answers for itself at its own address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from pns.errors import PNSError
from pns.ops.demo.process import PNSProcess
from pns.ops.demo.remote import RemotePNS


class FleetNode:
    """A node. The node may be killed, and started again at the same address."""

    def __init__(self, name: str, process: PNSProcess, remote: RemotePNS) -> None:
        self.name = name
        self.process = process
        self.remote = remote

    async def describe(self, users: Iterable[str]) -> dict[str, Any]:
        """The node on the page: its connections of `users`, and each user's count as the node reads the
        count.
        """
        known = {"name": self.name, "port": self.process.port}
        try:
            found = await asyncio.gather(*map(self.remote.user, users)) if self.process.running else None
        except PNSError:
            return {**known, "state": "starting"}
        if found is None:
            return {**known, "state": "dead"}
        connections = [
            {"user": user["user_id"], "device": device["device_id"][:6]}
            for user in found
            for device in user["devices"]
            for _ in range(device["here"])
        ]
        unseen = {user["user_id"]: user["unseen"] for user in found}
        return {**known, "state": "alive", "connections": connections, "unseen": unseen}


class Nodes:
    """All nodes. Use as `async with`: ready on entry, gone on exit. Raises PNSError on entry."""

    def __init__(self, processes: Iterable[PNSProcess], *, key: str) -> None:
        self._processes = list(processes)
        self._key = key
        self._stack = AsyncExitStack()
        self.by_name: dict[str, FleetNode] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            first, *others = self._processes
            # The first node makes the schema, so the others need not wait for each other.
            await stack.enter_async_context(first)
            await asyncio.gather(*map(stack.enter_async_context, others))
            for name, process in zip("ABCDEFGH", self._processes, strict=False):
                remote = await stack.enter_async_context(RemotePNS(process.url, key=self._key))
                self.by_name[name] = FleetNode(name, process, remote)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def describe(self, users: Iterable[str]) -> list[dict[str, Any]]:
        """The present state of each node, in the order of their names."""
        users = list(users)
        return await asyncio.gather(*(node.describe(users) for node in self.by_name.values()))
