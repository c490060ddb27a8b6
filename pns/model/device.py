"""User ids, device ids, and devices at push networks.

A device is one distinct cookied session of a user, or one installed app or browser that a push network
reaches by an address, or both under one `device_id`. It may hold several connections.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, get_args
from uuid import uuid4

from msgspec import Meta, Struct

from pns.model.name import Name

MAX_USER_ID = 255

USER_ID_PATTERN = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
"""The user ids of `parse_user_id`, without the length, as a regular expression of JSON Schema."""

PSEUDO_USER = "pseudo:"
"""The begin of the id of a user whom PNS made for a device, for an app without logins."""

Network = Literal["fcm", "apns", "webpush", "mqtt"]
Environment = Literal["production", "sandbox"]
NETWORKS: tuple[Network, ...] = get_args(Network)

MAX_ADDRESS = 4096
Label = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


def parse_user_id(value: object) -> str:
    """The user id of `value`: a string as it is, an integer as its decimal digits.

    Raises ValueError, with a message for the sender, for anything else. A user id has 1 to 255 characters,
    no control characters and no lone surrogates, and is not `.` or `..`. User ids are compared byte by byte.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**MAX_USER_ID:
            raise ValueError(f"must have at most {MAX_USER_ID} characters")
        return str(value)
    if not isinstance(value, str):
        raise ValueError("must be a string or an integer")
    if not 1 <= len(value) <= MAX_USER_ID:
        raise ValueError(f"must have 1 to {MAX_USER_ID} characters")
    if value in (".", ".."):
        raise ValueError("must not be '.' or '..'")
    if not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise ValueError("must not hold control characters or lone surrogates")
    return value


def new_device_id() -> str:
    """A device id that nobody can guess: 32 hexadecimal digits."""
    return uuid4().hex


class OwnedDevice(NamedTuple):
    """A device, and the user whose device this is."""

    device_id: str
    user_id: str


class SubscriptionKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a browser's subscription, base64url (RFC 8291 §3.1, §3.2)."""

    p256dh: str
    auth: str


class Subscription(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a browser's `pushManager.subscribe()` returns; `expiration_time` in milliseconds since 1970."""

    endpoint: str
    keys: SubscriptionKeys
    expiration_time: float | None = None


class Registration(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an app or a browser asks for: to be reached at `token` or `subscription` of `network`.

    `token`: of FCM or APNs. `subscription`: of Web Push. An MQTT device brings neither: it is given one.
    `token_kind`: "fid" for a Firebase installation id. `app`: the app's package or bundle id, where one
    `[push]` section serves several. `platform`: the app's own word, such as "ios". `device_id`: which of the
    user's devices this is, if its address has changed and it keeps no cookies.
    """

    network: Network
    token: Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS)] | None = None
    subscription: Subscription | None = None
    app: Label = ""
    environment: Environment = "production"
    platform: Label = ""
    device_id: Name | None = None
    token_kind: Literal["token", "fid"] = "token"


class Address(Struct, frozen=True):
    """The place of a device in a network, as its gateway keeps the place.

    `address`: the token, the endpoint, the MQTT topic. `keys`: the gateway's other needs for sending there.
    `expires_at`: microseconds since 1970, or None. `reply`: told to the device once, kept nowhere.
    """

    address: str
    keys: Mapping[str, str] = MappingProxyType({})
    expires_at: int | None = None
    reply: Mapping[str, object] = MappingProxyType({})


class Device(Struct, frozen=True, kw_only=True):
    """A device at a push network, as the store keeps it.

    `gateway`: reaches the device, and may be replaced (`pns devices regateway`). `badge`: the device's own
    counter; None: the badge is the user's unseen count. `registered_at`: of the newest registration, in
    microseconds since 1970. A network's reports of older times do not concern this registration.
    """

    device_id: str
    user_id: str
    network: Network
    gateway: str
    address: str
    keys: Mapping[str, str] = MappingProxyType({})
    app: str = ""
    environment: Environment = "production"
    platform: str = ""
    badge: int | None = None
    registered_at: int
    expires_at: int | None = None


def address_hash(address: str) -> str:
    """The SHA-256 of an address, in hexadecimal digits. Addresses are compared by this hash."""
    return sha256(address.encode()).hexdigest()


def shortened(address: str) -> str:
    """The part of an address for people: the first ten characters. A whole token lets anybody push."""
    return address[:10] + ("…" if len(address) > 10 else "")
