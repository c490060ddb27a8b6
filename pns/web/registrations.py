"""Registering a device, as it is asked for and answered: for the device itself and for the application."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from pns.errors import TooLarge
from pns.model.answers import Registered
from pns.model.device import Registration
from pns.push.registrar import RegisteredDevice
from pns.web.body import decode, read_body

T = TypeVar("T")

MAX_BODY_BYTES = 16_384
"""Of what a device sends about itself; no setting makes it more."""

NO_DEVICE = "this user has no such device"

_REGISTRATION = msgspec.json.Decoder(Registration)


async def read_registration(request: Request) -> Registration:
    """The body of a registration. Raises what `read` raises."""
    return await read(request, _REGISTRATION)


async def read(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """A small body. Raises BadJSON, Invalid, TooLarge or UnsupportedMediaType."""
    try:
        return decode(await read_body(request, MAX_BODY_BYTES), decoder)
    except TooLarge:
        raise TooLarge(f"this body has at most {MAX_BODY_BYTES} bytes") from None


def registered(installed: RegisteredDevice) -> Registered:
    """What the answer to a registration says."""
    return Registered.told(installed.device.device_id, installed.reply)
