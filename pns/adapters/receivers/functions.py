"""Events for functions of the host that PNS runs inside: no HTTP, no signature.

A function that returns has taken the event; its result is passed over. A function that raises has not. A sync
function runs in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from msgspec import UNSET
from msgspec.structs import replace

from pns.contracts.receiver import EventFunction, Letter, Reply, Taking
from pns.model.webhook import Event, Told, UnseenTold, WebhookKind
from pns.runtime.clock import Clock
from pns.runtime.host_calls import HostCallFailed, HostCalls, HostCallStopped
from pns.runtime.quiet_log import QuietLog

log = logging.getLogger(__name__)

THREADS = 8
"""Sync functions at once: as many as there are events under way."""


class HostFunctions:
    """See pns.contracts.receiver.Receiver. `functions` is not empty.

    The log has the traceback of a failure, once a minute for each function and type of exception.
    """

    def __init__(self, functions: Mapping[WebhookKind, EventFunction], *, clock: Clock) -> None:
        self.kinds = frozenset(functions)
        self._functions: Mapping[WebhookKind, Callable[[Event[Told]], object]] = functions
        self._calls = HostCalls(THREADS, name="pns webhook")
        self._failures = QuietLog(log, clock=clock)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        await self._calls.stop()

    async def take(self, letter: Letter) -> Reply:
        try:
            await self._calls.call(self._functions[letter.kind], _event(letter))
        except HostCallStopped:
            return Reply(Taking.AGAIN, "PNS stopped before the function returned")
        except HostCallFailed as failed:
            return self._failed(letter.kind, failed.error)
        return Reply(Taking.TAKEN)

    def _failed(self, kind: WebhookKind, error: BaseException) -> Reply:
        # Never the error's own text, which may be of a notification: the reason is kept in the store.
        reason = f"the function given as on_{kind}= raised {type(error).__qualname__}"
        self._failures.write(reason, reason, level=logging.ERROR, error=error)
        return Reply(Taking.AGAIN, reason)


def _event(letter: Letter) -> Event[Told]:
    body, data = letter.body, letter.body.data
    if isinstance(data, UnseenTold) and data.unsubscribe is UNSET:
        data = replace(data, unsubscribe={})
    return Event(letter.webhook_id, body.type, body.timestamp, data)
