"""One HTTP/2 connection to a host of APNs, from its TLS on.

pns/runtime/http2 speaks the protocol, and logs nothing: a URL holds the device's token. line.py replaces lost
connections.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from pns.runtime import http2
from pns.runtime.clock import Clock
from pns.runtime.http1.dial import Dial, DialThrough
from pns.runtime.http1.place import Place
from pns.runtime.http1.trouble import Unreachable
from pns.runtime.http2 import Answer as Answer
from pns.runtime.proxy import Proxy

LOSSES = (OSError,)
"""The errors of a lost connection, errors of TLS among them."""


class NoAnswer(Exception):
    """Every connection was lost. The message names the error, and holds nothing of the request."""


class NoConnection(NoAnswer):
    """The host cannot be reached, or ends each connection at once."""


class NoTLS(NoConnection):
    """The host answers, but the host and PNS do not agree on TLS: a certificate is wrong."""


class NoHTTP2(NoConnection):
    """The host answers, and speaks no HTTP/2."""


class Question:
    """A POST on its way. `went`: whether the request went out on the last connection that was asked."""

    def __init__(self, place: Place, headers: Mapping[str, str], content: bytes) -> None:
        self.went = False
        self.fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", place.authority.decode()),
            (":path", place.target.decode()),
            *headers.items(),
            ("content-length", str(len(content))),
        ]
        self.content = content


class Connection:
    """A retired connection takes no new request, and closes after its last request."""

    def __init__(self, line: http2.Line, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._requests = 0
        self._idle_since = clock.monotonic()
        self._retired = False
        self.answers = 0

    @property
    def retired(self) -> bool:
        return self._retired or not self._line.takes_questions

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has been under way."""
        return 0.0 if self._requests else self._clock.monotonic() - self._idle_since

    async def ask(self, question: Question) -> Answer:
        """Raises an error of LOSSES: the connection was lost, or ended before the server took the request."""
        self._requests += 1
        question.went = False
        asked, coming = self._line.question(question.fields, question.content)
        try:
            answer = await self._line.ask(asked, coming)
            self.answers += 1
            return answer
        except asyncio.CancelledError:
            # A request that hung may hang with its connection.
            self.retire()
            raise
        finally:
            question.went = asked.went
            self._requests -= 1
            self._idle_since = self._clock.monotonic()

    def retire(self) -> None:
        self._retired = True
        self._line.end()

    def close(self) -> None:
        self._retired = True
        self._line.drop()


async def connect(
    place: Place, context: ssl.SSLContext, clock: Clock, *, proxy: Proxy | None = None
) -> Connection:
    """Raises NoConnection, or one of its kinds."""
    dial = DialThrough(proxy, context) if proxy else Dial(context)
    try:
        line = await dial.made(place.server, http2.Line)
    except Unreachable as error:
        tls = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else None
        raise (NoTLS(named(tls)) if tls else NoConnection(str(error))) from None
    if line.protocol != "h2":
        line.drop()
        raise NoHTTP2("no HTTP/2")
    return Connection(line, clock)


def named(error: Exception) -> str:
    """The kind of the error: the text of the error may quote the request."""
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    return reason or type(error).__name__
