"""The values of push: the control fields of each network, a push on its way, and its states.

Values only. A push is made of a notification and a device in the notification's own transaction (the outbox,
outbox.py), sent by a gateway (gateway.py), and settled. A network's control fields reach that network alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import sha1
from typing import Annotated, Literal, NamedTuple, assert_never
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from pns.model.device import Device, Network
from pns.model.timestamp import SECOND

Scalar = str | int | float | bool
Flat = dict[str, Scalar]
KeptSeconds = Annotated[int, Meta(ge=0, le=2_419_200)]
"""At most four weeks: FCM and Web Push keep a message no longer."""

_FCM_NAMES = {
    *("from", "gcm", "message_type", "collapse_key", "priority", "ttl"),
    *("restricted_package_name", "notification", "fcm_options", "direct_boot_ok"),
}
_FCM_PREFIXES = ("google.", "gcm.")

MOST_CONTROLS_BYTES = 16_384
"""Of all control fields of a notification, as JSON: no network takes more than about 4 KB."""

_COLOR = "^#[0-9A-Fa-f]{6}$"
_PUSH_IDS = UUID("6f4a3cde-9b52-4b63-8a5e-8f2d9a0f6d11")

# ── control fields ────────────────────────────────────────────────────────────────────────────────────


class FCMNotification(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The texts that Android shows by itself; the fields of FCM's AndroidNotification."""

    title: str | None = None
    body: str | None = None
    icon: str | None = None
    image: str | None = None
    sound: str | None = None
    tag: str | None = None
    color: Annotated[str, Meta(extra_json_schema={"pattern": _COLOR})] | None = None
    click_action: str | None = None
    channel_id: str | None = None


class FCMControls(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For FCM alone. `data` replaces the shared data; `notification: false` sends data only."""

    enabled: bool = True
    data: dict[str, str] | None = None
    notification: FCMNotification | Literal[False] | None = None
    priority: Literal["normal", "high"] | None = None
    ttl_seconds: KeptSeconds | None = None
    collapse_key: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    restricted_package_name: str | None = None
    direct_boot_ok: bool = False


class APNsAlert(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    title: str | None = None
    subtitle: str | None = None
    body: str | None = None


class APNsControls(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For APNs alone. `data` replaces the shared data and stands beside `aps`."""

    enabled: bool = True
    data: Flat | None = None
    alert: str | APNsAlert | None = None
    sound: str | None = None
    badge: Annotated[int, Meta(ge=0)] | None = None
    category: str | None = None
    thread_id: str | None = None
    content_available: bool = False
    mutable_content: bool = False
    interruption_level: Literal["passive", "active", "time-sensitive", "critical"] | None = None
    push_type: Literal["alert", "background"] = "alert"
    priority: Literal[1, 5, 10] | None = None
    ttl_seconds: KeptSeconds | None = None
    collapse_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class WebPushControls(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For Web Push and UnifiedPush alone. `topic` replaces a waiting message (RFC 8030 §5.4)."""

    enabled: bool = True
    data: Flat | None = None
    urgency: Literal["very-low", "low", "normal", "high"] | None = None
    topic: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,32}$(?!\n)")] | None = None
    ttl_seconds: KeptSeconds | None = None


class MQTTControls(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """For MQTT alone."""

    enabled: bool = True
    data: Flat | None = None
    ttl_seconds: KeptSeconds | None = None


NetworkControls = FCMControls | APNsControls | WebPushControls | MQTTControls


class PushControls(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a notification is pushed. `data` goes to every network, the other fields each to its own network.

    `enabled: false` prevents any push. `sender`: the name of the sender.
    """

    enabled: bool = True
    data: Flat | None = None
    sender: str | None = None
    fcm: FCMControls | None = None
    apns: APNsControls | None = None
    webpush: WebPushControls | None = None
    mqtt: MQTTControls | None = None

    def of(self, network: Network) -> NetworkControls | None:
        """The control fields of one network; None where the notification has none for the network."""
        match network:
            case "fcm":
                return self.fcm
            case "apns":
                return self.apns
            case "webpush":
                return self.webpush
            case "mqtt":
                return self.mqtt
            case _:
                assert_never(network)

    def check(self) -> tuple[str, str] | None:
        """The fault that the types cannot find, as (field, message), or None.

        Shared data is for every network: FCM's rule holds for shared data only where `fcm` asks for FCM.
        """
        if (size := len(msgspec.json.encode(self))) > MOST_CONTROLS_BYTES:
            return "", f"must have at most {MOST_CONTROLS_BYTES} bytes of JSON, this has {size}"
        if self.fcm is None or not self.fcm.enabled:
            return None
        shown = self.fcm.notification or FCMNotification()
        if shown.color is not None and not re.fullmatch(_COLOR, shown.color):
            return "fcm/notification/color", 'must be #rrggbb, such as "#ff8800"'
        at, data = ("data", self.data) if self.fcm.data is None else ("fcm/data", self.fcm.data)
        wrong = check_fcm_data(data or {})
        return None if wrong is None else (at, wrong)


class WebhookControls(Struct, frozen=True, forbid_unknown_fields=True):
    """When the application may be told that a notification is still unseen; never how often."""

    unseen_after_seconds: Annotated[float, Meta(ge=0, le=2_419_200)]


def check_fcm_data(data: Mapping[str, Scalar]) -> str | None:
    """The fault of a name in an application's data for FCM, or None.

    FCM refuses some of these names and overwrites others; Kii refuses them all, and so does PNS.
    """
    for name in data:
        if name in _FCM_NAMES:
            return f"must not hold {name!r}, a name that FCM keeps for itself"
        for prefix in _FCM_PREFIXES:
            if name.startswith(prefix):
                return f"must not hold names that begin with {prefix!r}: FCM keeps them for itself"
    return None


class Cause(Struct, frozen=True, omit_defaults=True, rename={"type_": "type"}):
    """Why a notification is there: the control fields that PNS itself adds, by their names on the wire.

    `origin`: EVENT for a changed bucket, EXPLICIT for all else. `when`: milliseconds since 1970.
    """

    origin: Literal["EVENT", "EXPLICIT"] = "EXPLICIT"
    topic: str | None = None
    sender: str | None = None
    when: int | None = None
    bucketID: str | None = None
    objectID: str | None = None
    type_: str | None = None


class StoredPush(Struct, frozen=True, omit_defaults=True):
    """The part of a notification that the store keeps for its pushes."""

    controls: PushControls = PushControls()
    cause: Cause = field(default=Cause(), name="origin")


# ── on its way ────────────────────────────────────────────────────────────────────────────────────────


class PushSchedule(NamedTuple):
    """When the pushes of new notifications are due, and until when they are worth sending. Microseconds."""

    delay: int
    lifetime: int

    def due_at(self, now: int) -> int:
        return now + self.delay

    def expires_at(self, now: int) -> int:
        return self.due_at(now) + self.lifetime


class PushState(StrEnum):
    """The state of a push. ACCEPTED: the network took the push, and may not have delivered it."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SEEN = "seen"
    RETRY = "retry"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEVICE_INVALID = "device_invalid"


WAITING = (PushState.QUEUED, PushState.SENDING, PushState.RETRY)
"""States of a push that will be sent, unless it is cancelled or expires."""


class Payload(Struct, frozen=True):
    """A notification's data by convention: the JSON text of these four fields, or else a plain text."""

    title: str = ""
    body: str = ""
    url: str = ""
    icon: str = ""

    @classmethod
    def of(cls, notification_data: str) -> Payload:
        """Never raises: any data outside the convention becomes the body.

        Half of a surrogate pair, which JavaScript makes where it cuts a text, is shown as a question mark.
        """
        try:
            found = json.loads(notification_data, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return cls(body=notification_data)
        if not isinstance(found, dict):
            return cls(body=notification_data)
        texts = (str(found[name]) if found.get(name) else "" for name in cls.__struct_fields__)
        return cls(*(text.encode(errors="replace").decode() for text in texts))


def _no_json(constant: str) -> None:
    """NaN and its like, which Python would read."""
    raise ValueError(constant)


@lru_cache(maxsize=64)
def _payload(notification_data: str) -> Payload:
    """Many devices are told the same at once, and a message of one network asks several times."""
    return Payload.of(notification_data)


def _uuid5(named: bytes) -> str:
    """As `str(uuid.uuid5(space, name))`, of the bytes of both: RFC 9562 §5.5, at a third of the time."""
    digest = sha1(named, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


class Push(Struct, frozen=True, kw_only=True):
    """A notification on its way to a device; or a dismissal, with the ids of notifications in `dismissed`.

    `dismissed`: the newest id is last. `attempt` counts from 1. `badge`: the number for the app's icon.
    `expires_at`: nobody wants the push after this time. Times are microseconds since 1970.
    """

    push_key: int
    device: Device
    attempt: int
    expires_at: int
    badge: int
    notification_id: str = ""
    notification_data: str = ""
    create_date: int = 0
    category: str | None = None
    collapse_key: str | None = None
    controls: PushControls = PushControls()
    cause: Cause = Cause()
    dismissed: tuple[str, ...] = ()

    @property
    def push_id(self) -> str:
        """A UUID, lower case: the same at every attempt of this push, and of no other."""
        name = f"{self.device.device_id}/{self.push_key}"
        return _uuid5(_PUSH_IDS.bytes + name.encode())

    @property
    def payload(self) -> Payload:
        return _payload(self.notification_data)

    def data(self, own: Mapping[str, Scalar] | None) -> dict[str, Scalar]:
        """The application's data for one network: `own`, or else the shared data."""
        return dict(self.controls.data or {}) if own is None else dict(own)

    def control_fields(self) -> dict[str, str | int]:
        """The fields that PNS adds: the cause of the notification. Unknown fields are left out."""
        found: dict[str, str | int] = msgspec.to_builtins(self.cause)
        found.setdefault("origin", "EXPLICIT")
        found.setdefault("when", self.create_date // 1000)
        if self.controls.sender is not None:
            found["sender"] = self.controls.sender
        return found

    def dismissal(self) -> dict[str, object]:
        """The content of a dismissal, for a network without its own form for the badge."""
        return {"dismissed": self.dismissed, "badge": self.badge}

    def seconds_left(self, now: int, wanted: int | None = None) -> int:
        """For how many seconds from `now` the network should keep the push: at most `wanted`, at least 0."""
        left = max(0, (self.expires_at - now) // SECOND)
        return left if wanted is None else min(left, wanted)


class PushStatus(Struct, frozen=True):
    """A push as the application sees it. `due_at`: for a waiting push, the time of the next attempt."""

    device_id: str
    network: str
    gateway: str
    state: PushState
    attempts: int
    reason: str | None
    provider_id: str | None
    due_at: int | None
    changed_at: int
