"""A ticket: PNS's own word that a device may open a connection, for a page without cookies.

Values only. web/tickets.py signs and reads tickets; live/admission.py uses a ticket up.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

TICKET_SECONDS = 30
"""How long a ticket may be used."""

GRACE_SECONDS = 2.0
"""How much longer than `auth.recheck_seconds` a connection may wait for a renewal under way."""


class Ticket(Struct, frozen=True):
    """The user and device of a connection, its origin, and the end of the ticket. Good for a single use in
    the whole fleet.

    `origin`: of the asking page, as sent; "" for none. `revocation`: the login's, see
    Store.newest_revocation. `expires_at`: microseconds since 1970.
    """

    ticket_id: str
    user_id: str
    device_id: str
    origin: str
    revocation: int
    expires_at: int


ReadTicket = Callable[[str], Ticket]
"""From a text of a device to its ticket.

Raises Unauthorized, with the reason: PNS did not sign the text, the ticket has expired, or a page of another
origin asked for the ticket.
"""


def renewed_until(now: float, recheck_seconds: float) -> float:
    """The monotonic time when a connection ends after being opened or renewed `now` by a ticket.

    Infinity, where rechecks are turned off.
    """
    return now + recheck_seconds + GRACE_SECONDS if recheck_seconds else float("inf")
