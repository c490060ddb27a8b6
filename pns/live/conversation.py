"""One connection as a table of states: a message in, an effect out. Never awaits, never reads a clock.

Rule 1: requests are served one at a time, in order; each that asks for data gets one answer or one error.
Rule 2: nothing is marked seen before the answer that shows it was handed over.
Rule 3: `notificationDataSeen` marks only what was sent on this connection.

    state      event               effect                     next state
    OPEN       receive(request)    ReadUnseen, ReadSeen       ASKED
    OPEN       receive(dataSeen)   MarkSeen                   OPEN
    OPEN       receive(mark)       Mark, Snooze               OPEN
    OPEN       receive(counts)     ReadCounts                 OPEN
    OPEN       receive(renewTicket) Renew                    OPEN
    OPEN       receive(nonsense)   Send(error)                OPEN
    OPEN       receive(too often)  Send(error), then Close    OPEN, CLOSED
    ASKED      answer(page)        Send(page)                 HANDED (unseen without ack), else OPEN
    ASKED      fail(code)          Send(error)                OPEN
    HANDED     handed_over()       MarkSeen                   OPEN
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from pns.contracts.store import Cursor
from pns.live.allowance import Allowance
from pns.model.mark import Mark
from pns.model.messages import (
    CloseCode,
    CountsRequest,
    DataSeen,
    ErrorCode,
    MessageRefused,
    RenewTicket,
    SeenRequest,
    UnseenRequest,
    error_message,
    new_data,
    parse_request,
    received_after,
    seen_data,
)
from pns.model.notification import Page
from pns.model.pending import Snooze
from pns.settings import LimitsSettings

BURST = 2
"""How many seconds' worth of requests may come at once."""
STRIKES = 10
"""Requests refused in a row before the connection is closed."""


class ReadUnseen(NamedTuple):
    """Read the oldest unseen notifications, of `category` or all, then call `answer` or `fail`."""

    limit: int
    category: str | None = None


class ReadSeen(NamedTuple):
    """Read seen notifications, then call `answer` or `fail`."""

    cursor: Cursor


class MarkSeen(NamedTuple):
    """Set `seen_date` of these rows; the user's count follows by itself."""

    user_key: int
    seqs: tuple[int, ...]


class ReadCounts(NamedTuple):
    """Read the counts, of these categories or of all, and tell them now and after every change."""

    categories: tuple[str, ...] | None


class Renew(NamedTuple):
    """Use the ticket, if it is one for this connection, and send an answer or an error."""

    ticket: str


class Send(NamedTuple):
    """Send this text, then call `handed_over`."""

    text: str


class Close(NamedTuple):
    """Close the connection."""

    code: CloseCode


Effect = ReadUnseen | ReadSeen | ReadCounts | MarkSeen | Mark | Snooze | Renew | Send | Close
"""A Mark or a Snooze is to be made, then answered."""


class Phase(Enum):
    OPEN = auto()
    ASKED = auto()
    HANDED = auto()
    CLOSED = auto()


class Conversation:
    """What one connection has asked, was sent and may still ask."""

    __slots__ = (
        "_even",
        "_limits",
        "_page",
        "_request",
        "_sent",
        "_strikes",
        "_user_key",
        "phase",
    )

    def __init__(self, limits: LimitsSettings, *, now: float) -> None:
        """`now`: monotonic seconds, as for `receive`."""
        self.phase = Phase.OPEN
        self._limits = limits
        self._even = now
        self._strikes = 0
        self._request: UnseenRequest | SeenRequest | None = None
        # The page that waits for its hand-over, to be marked then.
        self._page: Page | None = None
        # id → seq of what was sent with `ack` and not yet said to be seen: at most two pages (`_remember`).
        self._sent: dict[str, int] = {}
        self._user_key = 0

    def receive(self, text: str, *, now: float) -> Effect:
        """The device sent `text`. Must be called only while OPEN."""
        assert self.phase is Phase.OPEN
        if not self._may_ask(now):
            return self._strike()
        self._strikes = 0
        try:
            request = parse_request(text)
        except MessageRefused as refusal:
            return Send(error_message(refusal.code, refusal.message))
        if isinstance(request, DataSeen):
            return self._data_seen(request)
        if isinstance(request, Mark | Snooze):
            return request
        if isinstance(request, CountsRequest):
            return ReadCounts(request.names)
        if isinstance(request, RenewTicket):
            return Renew(request.ticket)
        self._request = request
        self.phase = Phase.ASKED
        if isinstance(request, UnseenRequest):
            return ReadUnseen(page_limit(request, self._limits), request.category)
        return ReadSeen(seen_cursor(request, self._limits))

    def answer(self, page: Page) -> Send:
        """The store read `page` for the request."""
        assert self.phase is Phase.ASKED
        request, self._request = self._request, None
        self.phase = Phase.OPEN
        if isinstance(request, SeenRequest):
            return Send(seen_data(page.items))
        if request is not None and request.ack:
            self._remember(page, request.category)
        elif page.items:
            self._page = page
            self.phase = Phase.HANDED
        return Send(new_data(page.items))

    def fail(self, code: str, message: str) -> Send:
        """The request could not be served."""
        assert self.phase is Phase.ASKED
        self._request = None
        self.phase = Phase.OPEN
        return Send(error_message(code, message))

    def handed_over(self) -> MarkSeen | None:
        """The last Send was handed to the socket."""
        if self.phase is not Phase.HANDED or self._page is None:
            return None
        page, self._page = self._page, None
        self.phase = Phase.OPEN
        return MarkSeen(page.user_key, tuple(kept.seq for kept in page.items))

    def _data_seen(self, request: DataSeen) -> Effect:
        up_to = self._sent.get(request.up_to)
        if up_to is None:
            return Send(
                error_message(
                    ErrorCode.UNKNOWN_NOTIFICATION,
                    "upTo names no notification that was sent on this connection with `ack`",
                )
            )
        seqs = tuple(seq for seq in self._sent.values() if seq <= up_to)
        # The last one stays known, so that a client may say it twice.
        self._sent = {id_: seq for id_, seq in self._sent.items() if seq >= up_to}
        return MarkSeen(self._user_key, seqs)

    def _remember(self, page: Page, category: str | None) -> None:
        """Keep the ids of an `ack` page: at most two pages in all.

        A page of all begins at the oldest unseen and skips nothing, so an earlier one's rows are still unseen
        only if they stand in this page or behind its end. A page of a category tells nothing of the others:
        the newest that were sent are kept.
        """
        end = page.items[-1].seq if page.items else 0
        others = self._sent if page.user_key == self._user_key else {}
        if category is None:
            others = {id_: seq for id_, seq in others.items() if seq > end} if page.items else {}
        self._user_key = page.user_key
        new = {kept.notification_id: kept.seq for kept in page.items}
        kept = {id_: seq for id_, seq in others.items() if id_ not in new} | new
        self._sent = dict(list(kept.items())[-2 * self._limits.page_size :])

    def _may_ask(self, now: float) -> bool:
        """Whether the device may ask: `requests_per_second`, with BURST seconds' worth at once."""
        even = Allowance(self._limits.requests_per_second, BURST).spend(self._even, now=now)
        if even is None:
            return False
        self._even = even
        return True

    def _strike(self) -> Effect:
        self._strikes += 1
        if self._strikes >= STRIKES:
            self.phase = Phase.CLOSED
            return Close(CloseCode.TOO_MANY_REQUESTS)
        return Send(
            error_message(
                ErrorCode.RATE_LIMITED,
                f"more than {self._limits.requests_per_second:g} requests a second; wait, then ask again",
            )
        )


def page_limit(request: UnseenRequest | SeenRequest, limits: LimitsSettings) -> int:
    """How many items the answer to `request` may hold: more than `limits.page_size` is cut to it."""
    return min(request.limit or limits.page_size, limits.page_size)


def seen_cursor(request: SeenRequest, limits: LimitsSettings) -> Cursor:
    """The stretch of the seen list that `request` asks for."""
    return Cursor(
        after=request.after,
        before=request.before,
        received_after=received_after(request),
        category=request.category,
        unread=request.unread,
        archived=request.archived,
        limit=page_limit(request, limits),
        max_bytes=limits.page_bytes,
    )
