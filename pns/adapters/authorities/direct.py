"""The questions to one URL, and their answers in full: bytes out, bytes in.

A question has exactly the given headers and `host`. The connection never goes by way of a proxy. The caller
sets the deadline, by `asyncio.timeout`: a peer that drips bytes outlives any timeout of a single read.
"""

from __future__ import annotations

from collections.abc import Iterable

from pns.adapters.authorities.answer import Answer, Doubt, Header
from pns.runtime.http1.dial import Dial, system_trust
from pns.runtime.http1.place import Place, head
from pns.runtime.http1.pool import Pool
from pns.runtime.http1.trouble import NoAnswer

_KEEP_SECONDS = 1.5
"""Below what common servers allow (2 to 5 s), so that a question seldom meets a connection being closed."""


class Direct:
    """Connections to the server of `place`, kept between questions. You must call `close` at the end."""

    def __init__(self, place: Place, *, connections: int, body_limit: int) -> None:
        """At most `connections` stay open without work; an answer over `body_limit` bytes is a Doubt.

        The caller bounds how many questions run at once. A bound here would be another queue.
        """
        self._place = place
        self._body_limit = body_limit
        dial = Dial(system_trust() if self._place.tls else None)
        self._pool = Pool(dial, idle=connections, keep_seconds=_KEEP_SECONDS)

    async def ask(self, method: str, *, headers: Iterable[Header]) -> Answer:
        """The final answer, whatever its status. Raises Doubt if no answer came."""
        try:
            request = head(method, self._place, headers)
            answer = await self._pool.exchange(self._place, request, most=self._body_limit)
        except NoAnswer as error:
            raise Doubt(f"{error}: {error.__cause__}" if error.__cause__ else str(error)) from error
        if answer.header("content-encoding").strip().lower() not in ("", "identity"):
            raise Doubt("the answer has a Content-Encoding, though none was accepted")
        if answer.cut:
            raise Doubt(f"the answer has more than {self._body_limit} bytes")
        return Answer(answer.status, answer.body)

    def close(self) -> None:
        """Drop all connections. Safe to call twice."""
        self._pool.close()
