"""One connection as a table of states: a message in, an effect out. Never awaits, never reads a clock.

Rule 1: requests are served one at a time, in order; each that asks for data gets one answer or one error.
Rule 2: nothing is marked seen before the answer that shows it was handed over.
Rule 3: `notificationDataSeen` marks only what was sent on this connection, and all of that; see sent.py.

    state      event               effect                     next state
    OPEN       receive(request)    ReadUnseen, ReadSeen       ASKED
    OPEN       receive(dataSeen)   MarkShown                  OPEN
    OPEN       receive(dataSeen)   FindPlace (id not known)   ASKED
    OPEN       receive(mark)       Mark, Snooze               OPEN
    OPEN       receive(counts)     ReadCounts                 OPEN
    OPEN       receive(renewTicket) Renew                    OPEN
    OPEN       receive(nonsense)   Send(error)                OPEN
    OPEN       receive(too often)  Send(error), then Close    OPEN, CLOSED
    ASKED      answer(page)        Send(page)                 HANDED (unseen without ack), else OPEN
    ASKED      placed(place)       MarkShown, or Send(error)  OPEN
    ASKED      fail(code)          Send(error)                OPEN
    HANDED     handed_over()       MarkSeen                   OPEN
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from pns.contracts.store import Cursor, Place
from pns.live.allowance import Allowance
from pns.live.sent import MOST_STRETCHES, Sent, Stretch
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
NOT_SENT = "upTo names no notification that was sent on this connection with `ack`"
NOT_KEPT = "upTo names a notification that is not kept any more: name the next older one that you showed"
TOO_MANY_STRETCHES = (
    f"pages of {MOST_STRETCHES} categories that were sent with `ack` wait on this connection: "
    "say by notificationDataSeen what was shown, or leave out `category` or `ack`"
)


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


class FindPlace(NamedTuple):
    """Find where this notification stands, then call `placed` or `fail`."""

    notification_id: str


class MarkShown(NamedTuple):
    """Set `seen_date` of these rows and of the unseen in these stretches, then call `shown`. All are up to
    the place `up_to`.
    """

    user_key: int
    up_to: int
    seqs: tuple[int, ...]
    stretches: tuple[Stretch, ...] = ()


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


Effect = (
    ReadUnseen
    | ReadSeen
    | ReadCounts
    | FindPlace
    | MarkSeen
    | MarkShown
    | Mark
    | Snooze
    | Renew
    | Send
    | Close
)
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
        # None until something is sent with `ack`.
        self._sent: Sent | None = None

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
        if isinstance(request, UnseenRequest) and request.ack and not self._has_room(request.category):
            return Send(error_message(ErrorCode.BAD_REQUEST, TOO_MANY_STRETCHES))
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

    def placed(self, place: Place) -> MarkShown | Send:
        """The store has the notification of FindPlace at `place`."""
        assert self.phase is Phase.ASKED
        self.phase = Phase.OPEN
        sent = self._sent
        if sent is None or place.user_key != sent.user_key or place.seq > sent.newest:
            return Send(error_message(ErrorCode.UNKNOWN_NOTIFICATION, NOT_SENT))
        return self._shown_up_to(sent, sent.place_of_older(place.seq))

    def shown(self, effect: MarkShown) -> None:
        """What MarkShown names is marked."""
        if self._sent is not None and self._sent.user_key == effect.user_key:
            self._sent.shown(effect.up_to)

    def _data_seen(self, request: DataSeen) -> Effect:
        if self._sent is None:
            return Send(error_message(ErrorCode.UNKNOWN_NOTIFICATION, NOT_SENT))
        place = self._sent.place(request.up_to)
        if place is None:
            self.phase = Phase.ASKED
            return FindPlace(request.up_to)
        return self._shown_up_to(self._sent, place)

    def _shown_up_to(self, sent: Sent, place: int) -> MarkShown:
        seqs = sent.places(place)
        if seqs is None:
            return MarkShown(sent.user_key, place, (), sent.stretches(place))
        return MarkShown(sent.user_key, place, seqs)

    def _has_room(self, category: str | None) -> bool:
        return self._sent is None or self._sent.has_room(category)

    def _remember(self, page: Page, category: str | None) -> None:
        """Remember a page that is sent with `ack`. Another `user_key` is another user's, after an erasure."""
        if self._sent is None or self._sent.user_key != page.user_key:
            self._sent = Sent(page.user_key, page_size=self._limits.page_size) if page.items else None
        if self._sent is not None:
            self._sent.add(page, category)

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
