"""A ticket: PNS's permission for a device to open a connection, for a page that sends no cookies.

Values only. web/tickets.py signs and reads tickets. live/admission.py uses tickets up.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

TICKET_SECONDS = 30
"""How long a ticket may be used."""

GRACE_SECONDS = 2.0
"""How much longer than `auth.recheck_seconds` a connection is left without a renewal that is under way."""


class Ticket(Struct, frozen=True):
    """The device that may open a connection, from where, and until when. A ticket works once in the fleet.

    `origin`: of the page that asked for the ticket, as sent; "" for none. `revocation`: the login's, see
    Store.newest_revocation. `expires_at`: microseconds since the epoch.
    """

    ticket_id: str
    user_id: str
    device_id: str
    origin: str
    revocation: int
    expires_at: int


ReadTicket = Callable[[str], Ticket]
"""From a text of a device to a ticket. Raises Unauthorized with the reason: PNS did not sign the text, the
ticket has expired, or a page of another origin asked for the ticket.
"""


def renewed_until(now: float, recheck_seconds: float) -> float:
    """The end, in monotonic seconds, of a connection that a ticket opened or renewed `now`.

    Infinity, where rechecks are turned off.
    """
    return now + recheck_seconds + GRACE_SECONDS if recheck_seconds else float("inf")
