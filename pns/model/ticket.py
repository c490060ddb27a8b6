"""A ticket: PNS's own word that a device may open one connection, for a page that sends no cookies.

Values only. How a ticket is signed and read stands in web/tickets.py, how it is used up in admission.py.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

TICKET_SECONDS = 30
"""How long a ticket may be used."""

GRACE_SECONDS = 2.0
"""How much longer than `auth.recheck_seconds` a connection is left without a renewal that is under way."""


class Ticket(Struct, frozen=True):
    """Who may open a connection, from where, and until when. It is worth one use in the whole fleet.

    `origin`: of the page that asked for it, as sent; "" for none. `revocation`: the login's, see
    Store.newest_revocation. `expires_at`: microseconds since the epoch.
    """

    ticket_id: str
    user_id: str
    device_id: str
    origin: str
    revocation: int
    expires_at: int


ReadTicket = Callable[[str], Ticket]
"""From a text of a device to the ticket that it is. Raises Unauthorized, saying why it is none for this
device: PNS did not sign it, it has expired, or a page of another origin asked for it.
"""


def renewed_until(now: float, recheck_seconds: float) -> float:
    """Monotonic seconds when a connection ends that was opened or renewed `now` by a ticket.

    Never, where rechecks are turned off.
    """
    return now + recheck_seconds + GRACE_SECONDS if recheck_seconds else float("inf")
