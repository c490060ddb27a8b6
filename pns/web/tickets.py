"""Logins without a cookie: how a device asks for a ticket, and how PNS signs and reads one.

pns/model/ticket.py describes a ticket. A ticket proves a login for some seconds, so no log, error or metric
holds the text of a ticket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from secrets import token_hex

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode
from msgspec import Struct
from starlette.requests import Request

from pns.errors import Invalid, TooLarge, Unauthorized
from pns.live.admission import Admitted
from pns.model.messages import TICKET_SUBPROTOCOL
from pns.model.ticket import TICKET_SECONDS, Ticket
from pns.runtime.clock import Clock
from pns.web.body import decode, read_optional

MAX_BODY_BYTES = 16_384
"""The limit of the body of POST /subscribe. No setting raises this limit."""
MEDIA_TYPES = ("application/json", "text/plain")
_SALT = "pns.ticket"
_MAX_LENGTH = 4096
_SECOND = 1_000_000


class SubscribeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A client without cookies asks for a ticket, to open or to renew a connection.

    `device_token`: the token of the last answer; without a good token, this is a new device. `renew`: the
    application is asked again, although an older answer is kept.
    """

    ticket: bool = False
    device_token: str | None = None
    renew: bool = False


_SUBSCRIBE_BODY = msgspec.json.Decoder(SubscribeBody)
_NOTHING = SubscribeBody()


async def read_subscribe_body(request: Request) -> SubscribeBody:
    """The body of POST /subscribe; no body asks for no ticket.

    Raises BadJSON, Invalid, TooLarge or UnsupportedMediaType.
    """
    try:
        body = await read_optional(request, MAX_BODY_BYTES, media_types=MEDIA_TYPES)
    except TooLarge:
        raise TooLarge(f"this body has at most {MAX_BODY_BYTES} bytes") from None
    asked = decode(body, _SUBSCRIBE_BODY) if body else _NOTHING
    if not asked.ticket and (asked.renew or asked.device_token is not None):
        raise Invalid([("/ticket", "must be true where `device_token` or `renew` is given")])
    return asked


def offered_ticket(subprotocols: Iterable[str]) -> str | None:
    """The text of the ticket among the subprotocols that a WebSocket offers, or None."""
    for subprotocol in subprotocols:
        if subprotocol.startswith(TICKET_SUBPROTOCOL):
            return subprotocol.removeprefix(TICKET_SUBPROTOCOL)
    return None


class Tickets:
    """Signs and reads tickets with the secret that all nodes share."""

    def __init__(self, secret: str, clock: Clock) -> None:
        # Named, because the library's default is SHA-1.
        digest = {"digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(secret, salt=_SALT, signer_kwargs=digest)
        self._clock = clock

    def issue(self, device: Admitted, origin: str) -> str:
        """A new ticket for `device`, for pages of `origin`: a token of RFC 9110 §5.6.2."""
        expires_at = self._clock.now() + TICKET_SECONDS * _SECOND
        said = [token_hex(16), device.user_id, device.device_id, origin, device.revocation, expires_at]
        text = self._serializer.dumps(said)
        return text if isinstance(text, str) else text.decode("ascii")

    def read(self, text: str, may_use: Callable[[str], bool]) -> Ticket:
        """The ticket of `text`. `may_use`: whether tickets for pages of an origin may be used here.

        Raises Unauthorized, and costs no more than checking a signature.
        """
        ticket = self._load(text)
        if ticket is None:
            raise Unauthorized("This is no ticket of this PNS. Ask POST /subscribe for one.")
        if ticket.expires_at <= self._clock.now():
            raise Unauthorized("This ticket has expired. Ask POST /subscribe for another one.")
        if not may_use(ticket.origin):
            raise Unauthorized("A page of another origin asked for this ticket. Ask POST /subscribe for one.")
        return ticket

    def _load(self, text: str) -> Ticket | None:
        if len(text) > _MAX_LENGTH or not text.isascii():
            return None
        try:
            if not _is_canonical(text.rpartition(".")[2]):
                return None
            match self._serializer.loads(text):
                case [
                    str(ticket_id),
                    str(user_id),
                    str(device_id),
                    str(origin),
                    int(revocation),
                    int(expires_at),
                ]:
                    return Ticket(ticket_id, user_id, device_id, origin, revocation, expires_at)
        except BadData:
            pass
        return None


def _is_canonical(signature: str) -> bool:
    """Whether the bytes have no other text: base64 has spare bits, and its reader skips strange signs."""
    return base64_encode(base64_decode(signature)).decode("ascii") == signature
