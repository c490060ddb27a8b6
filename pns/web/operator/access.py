"""The door of the operator's pages: open to users whom the application calls operators. Asked each time.

Any other caller gets NotFound, as at an unknown path. So does every doubt: a page of a foreign origin, an
application without an answer, a store that is away. A request without a login is refused before any question,
so the answer takes no longer than at another path.
"""

from __future__ import annotations

import logging

from starlette.types import Scope

from pns.errors import NotFound, Problem
from pns.node import Node
from pns.runtime.quiet_log import QuietLog
from pns.web.entrance import Entrance

log = logging.getLogger(__name__)


class Access:
    """The door of the operator's pages."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._entrance = entrance
        self._log = QuietLog(log, clock=node.clock)

    async def enter(self, scope: Scope) -> str:
        """The user id of the asking operator. Raises NotFound, and nothing else."""
        try:
            return await self._operator(scope)
        except Problem:
            raise NotFound from None
        except Exception as error:
            self._log.write("operator", "nobody can be an operator now", level=logging.ERROR, error=error)
            raise NotFound from None

    async def _operator(self, scope: Scope) -> str:
        credentials = await self._entrance.credentials(scope)
        login = await self._node.authority.operator(credentials)
        state = (await self._node.store.states([login.user_id]))[login.user_id]
        if state.revoked(credentials.device_id) > login.revocation:
            raise NotFound
        return login.user_id
