"""User ids, device ids, and devices at push networks.

A device is a distinct cookied session of a user, or an installed app or browser with an address at a push
network, or both under the same `device_id`. A device may hold several connections.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, get_args
from uuid import UUID, uuid4

from msgspec import Meta, Struct

from pns.model.name import Name

MAX_USER_ID = 255

USER_ID_PATTERN = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
"""The texts that `parse_user_id` takes, apart from their length, as a regular expression of JSON Schema."""

PSEUDO_USER = "pseudo:"
"""The beginning of a pseudo user's id. PNS makes a pseudo user for a single device of an app without logins.
"""

UserId = str | int | UUID
"""A user id as an application's code has it: Django and SQLAlchemy also give UUIDs as keys."""

Network = Literal["fcm", "apns", "webpush", "mqtt"]
Environment = Literal["production", "sandbox"]
NETWORKS: tuple[Network, ...] = get_args(Network)

MAX_ADDRESS = 4096
MOST_SHOWN = 100
"""Notifications that a browser shows at once, as far as PNS is told. No system shows as many."""
Label = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


def parse_user_id(value: object) -> str:
    """The user id of `value`: a string as given, an integer as its decimal digits, a UUID as its text.

    Raises ValueError, with a message for the sender, for any other value. A user id has 1 to 255 characters,
    no control characters and no lone surrogates, and is not `.` or `..`. User ids are compared byte by byte,
    never folded.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**MAX_USER_ID:
            raise ValueError(f"must have at most {MAX_USER_ID} characters")
        return str(value)
    if isinstance(value, UUID):
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


def may_be_user_id(value: object) -> bool:
    """Whether `value` is of a type that `parse_user_id` takes."""
    return isinstance(value, UserId) and not isinstance(value, bool)


def new_device_id() -> str:
    """A device id beyond guessing: 32 hexadecimal digits."""
    return uuid4().hex


class OwnedDevice(NamedTuple):
    """A device, and the user whose device this is."""

    device_id: str
    user_id: str


class SubscriptionKeys(Struct, frozen=True):
    """The keys of a browser's subscription, base64url (RFC 8291 §3.1, §3.2). Further keys are ignored."""

    p256dh: str
    auth: str


class Subscription(Struct, frozen=True, rename="camel"):
    """The result of a browser's `pushManager.subscribe()`; `expiration_time` in milliseconds since 1970.

    Members that browsers add one day are ignored: the page sends the whole as it is.
    """

    endpoint: str
    keys: SubscriptionKeys
    expiration_time: float | None = None


class Registration(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The request of an app or a browser: to be reached at `token` or `subscription` of `network`.

    `token`: of FCM or APNs. `subscription`: of Web Push. An MQTT device sends neither: PNS gives the device
    its address. `token_kind`: "fid" for a Firebase installation id. `app`: the app's package or bundle id,
    where a `[push]` section serves several apps. `platform`: the app's own word, such as "ios". `device_id`:
    names the user's device when its address has changed and the app keeps no cookies.

    The rest is the word of a page with Web Push. `application_server_key`: the key of the subscription,
    base64url. `origin`: the page's own, which a browser sends by itself. `declarative`: the page's service
    worker reads the declarative form. `silent`: whether the browser bears pushes that show nothing. `shown`:
    the ids of the notifications that the browser shows now.
    """

    network: Network
    token: Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS)] | None = None
    subscription: Subscription | None = None
    app: Label = ""
    environment: Environment = "production"
    platform: Label = ""
    device_id: Name | None = None
    token_kind: Literal["token", "fid"] = "token"
    application_server_key: Annotated[str, Meta(max_length=128)] | None = None
    origin: Label = ""
    declarative: bool = False
    silent: bool | None = None
    shown: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST_SHOWN)] = ()


class Address(Struct, frozen=True):
    """Where a network finds a device, in the form that its gateway keeps.

    `address`: the token, the endpoint, the MQTT topic. `keys`: the further values for sending there.
    `expires_at`: microseconds since 1970, or None. `reply`: values for the device alone; they are answered
    once and never kept.
    """

    address: str
    keys: Mapping[str, str] = MappingProxyType({})
    expires_at: int | None = None
    reply: Mapping[str, object] = MappingProxyType({})


class Device(Struct, frozen=True, kw_only=True):
    """A device at a push network, as the store keeps the device.

    `gateway`: the name of the gateway that reaches the device; `pns devices regateway` may replace the
    gateway. `badge`: the device's own counter; with None the badge is the user's unseen count.
    `registered_at`: the time of the newest registration, in microseconds since 1970. An answer of the network
    about an older time does not concern this registration.
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


def is_subscribed_with(server_key: str, keys: Mapping[str, str]) -> bool:
    """Whether a browser with these `Device.keys` takes pushes of `server_key`, as far as is known.

    The page says `server_key` at its registration; a push service says `refused_key` by its refusal.
    """
    return keys.get("server_key", server_key) == server_key != keys.get("refused_key")


def address_hash(address: str) -> str:
    """The value by which addresses are compared: the SHA-256 of `address`, in hexadecimal digits."""
    return sha256(address.encode()).hexdigest()


def shortened(address: str) -> str:
    """The first ten characters of an address, for people to see: a whole token lets anybody push."""
    return address[:10] + ("…" if len(address) > 10 else "")
