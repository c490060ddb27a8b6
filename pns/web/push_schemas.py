"""Calls that concern devices and pushes: the shape of each answer, and what the contract shows of them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pns.errors import Invalid, Unavailable
from pns.model.answers import InstalledDevice, PushItem, Registered
from pns.model.device import Registration
from pns.web.contract.operation import APPLICATION, STORE, USER, Answer, Operation
from pns.web.registrations import MAX_BODY_BYTES
from pns.web.user_schemas import READING_BODY


class UserDevices(Struct, frozen=True):
    """Oldest registration first."""

    devices: list[InstalledDevice]


class PseudoUser(Struct, frozen=True):
    """The user who was made for this device, the same one each time; notify them as any other."""

    user_id: str
    device_id: str
    mqtt: dict[str, Any] | UnsetType = UNSET


class Pushes(Struct, frozen=True):
    pushes: list[PushItem]


DEVICES = Operation(
    caller="application",
    answers=(Answer(200, "The user's devices.", body=UserDevices),),
    problems=USER,
)
INSTALL = Operation(
    caller="application",
    body=Registration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(201, "Registered, or registered again.", body=Registered),),
    problems=(*USER, *READING_BODY, Unavailable),
)
UNINSTALL = Operation(
    caller="application",
    answers=(Answer(204, "Removed: nothing is pushed there any more."),),
    problems=USER,
)
PSEUDO_USER = Operation(
    caller="application",
    body=Registration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(201, "A user for this device alone.", body=PseudoUser),),
    problems=(*APPLICATION, *READING_BODY, Invalid, *STORE, Unavailable),
)
PUSHES = Operation(
    caller="application",
    answers=(Answer(200, "The pushes, by device.", body=Pushes),),
    problems=USER,
)
