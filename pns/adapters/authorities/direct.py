"""The questions to one URL, and their answers: bytes out, bytes in. The body counts for 200 alone.

A question has exactly the given headers and `host`. The connection never goes by way of a proxy. The caller
sets the deadline, by `asyncio.timeout`: a peer that drips bytes outlives any timeout of a single read.
"""

from __future__ import annotations

from collections.abc import Iterable

from pns.adapters.authorities.answer import Answer, Doubt, Header
from pns.runtime import http1
from pns.runtime.http1.dial import Dial, system_trust
from pns.runtime.http1.place import Place, head
from pns.runtime.http1.pool import Pool
from pns.runtime.http1.reader import ByHead
from pns.runtime.http1.trouble import NoAnswer

_KEEP_SECONDS = 1.5
"""Below what common servers allow (2 to 5 s), so that a question seldom meets a connection being closed."""

_SAID_BY_BODY = frozenset((200,))
"""Any other status says all by itself. A no is a no, whatever page comes along."""


class Direct:
    """Connections to the server of `place`, kept between questions. You must call `close` at the end."""

    def __init__(self, place: Place, *, connections: int, body_limit: int) -> None:
        """At most `connections` stay open without work; a 200 over `body_limit` bytes is a Doubt.

        The caller bounds how many questions run at once. A bound here would be another queue.
        """
        self._place = place
        self._body_limit = body_limit
        dial = Dial(system_trust() if self._place.tls else None)
        self._pool = Pool(dial, idle=connections, keep_seconds=_KEEP_SECONDS)

    async def ask(self, method: str, *, headers: Iterable[Header], deadline: float) -> Answer:
        """The final answer, whatever its status. Raises Doubt if no answer came, or not the whole of a 200.

        The body of any other status is what has come of the body. `deadline`: the caller's, in the event
        loop's time. A status that is known before then is told before then.
        """
        try:
            request = head(method, self._place, headers)
            by_head = ByHead(_SAID_BY_BODY, deadline)
            answer = await self._pool.exchange(self._place, request, most=self._body_limit, by_head=by_head)
        except NoAnswer as error:
            raise Doubt(f"{error}: {error.__cause__}" if error.__cause__ else str(error)) from error
        if answer.status in _SAID_BY_BODY:
            self._check_body(answer)
        return Answer(answer.status, answer.body)

    def _check_body(self, answer: http1.Answer) -> None:
        if answer.header("content-encoding").strip().lower() not in ("", "identity"):
            raise Doubt("the answer has a Content-Encoding, though none was accepted")
        if answer.cut:
            raise Doubt(f"the answer has more than {self._body_limit} bytes")

    def close(self) -> None:
        """Drop all connections. Safe to call twice."""
        self._pool.close()
