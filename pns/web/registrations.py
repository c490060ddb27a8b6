"""Registering a device: the request and the answer, for the device itself and for the application."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from pns.errors import TooLarge
from pns.model.device import Registration
from pns.web.body import decode, read_body

T = TypeVar("T")

MAX_BODY_BYTES = 16_384
"""The limit for a device's message about itself. No setting raises the limit."""

NO_DEVICE = "this user has no such device"

_REGISTRATION = msgspec.json.Decoder(Registration)


async def read_registration(request: Request) -> Registration:
    """The body of a registration. Raises the errors of `read`."""
    return await read(request, _REGISTRATION)


async def read(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """A small body. Raises BadJSON, Invalid, TooLarge or UnsupportedMediaType."""
    try:
        return decode(await read_body(request, MAX_BODY_BYTES), decoder)
    except TooLarge:
        raise TooLarge(f"this body has at most {MAX_BODY_BYTES} bytes") from None
