"""A browser's subscription: the word of its page, and the values that its device keeps for sending. Pure.

A subscription belongs to the application server key of its making, for good. The device keeps the key where
the page has said it. `refused_key` is the key with which a push service has refused the device: with another
key of ours, after a backup was restored for example, the device may be pushed to again. See
`pns.model.device.is_subscribed_with`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pns.adapters.gateways import p256
from pns.adapters.gateways.webpush import message as webpush_message
from pns.contracts.gateway import wrong
from pns.model.device import Device, Registration, Subscription
from pns.settings.rules import Origin, parse_origin

APPLE = ".push.apple.com"
"""Where Safari is reached."""
MOZILLA = ".push.services.mozilla.com"
"""Where Firefox is reached."""
OTHER_KEY = (
    "the subscription was made with another application server key than this PNS has now: "
    "the next opened page subscribes anew"
)
SILENT = "Safari and Firefox end a subscription for pushes that show nothing"


def subscription(registration: Registration) -> Subscription:
    """The subscription, its form checked. Raises ValueError as `Gateway.check` does."""
    if registration.network != "webpush":
        raise wrong("/network", 'must be "webpush"')
    if registration.token is not None:
        raise wrong("/token", "must be left out: Web Push has a subscription in its place")
    if registration.subscription is None:
        raise wrong("/subscription", "must be what the browser's `pushManager.subscribe()` returned")
    return registration.subscription


def check(registration: Registration) -> None:
    """Check keys and origin. Raises ValueError as `Gateway.check` does."""
    keys = subscription(registration).keys
    point = "must be a public key of P-256, uncompressed, 65 bytes in base64url"
    _check_point("/subscription/keys/p256dh", keys.p256dh, point)
    try:
        p256.decode(keys.auth, webpush_message.AUTH_BYTES)
    except ValueError:
        raise wrong("/subscription/keys/auth", "must be 16 bytes in base64url") from None
    if registration.application_server_key is not None:
        _check_point("/application_server_key", registration.application_server_key, point)
    _origin(registration)


def kept(registration: Registration) -> dict[str, str]:
    """The values of a checked registration that its device keeps."""
    said, keys = registration, subscription(registration).keys
    found = {"p256dh": keys.p256dh, "auth": keys.auth}
    if said.application_server_key is not None:
        found["server_key"] = _as_ours(said.application_server_key)
    if said.silent is not None:
        found["silent"] = "yes" if said.silent else "no"
    origin = _origin(said)
    if said.declarative and origin is not None:
        found["declarative"] = str(origin)
    return found


def refused(keys: Mapping[str, str], server_key: str) -> dict[str, str]:
    """`keys`, with the mark that `server_key` is not the key of the subscription."""
    return {**keys, "refused_key": server_key}


def bears_silence(device: Device, host: str) -> bool:
    """Whether the browser bears pushes that show nothing: by its page's word, else by its push service."""
    said = device.keys.get("silent")
    return said == "yes" if said else not f".{host}".endswith((APPLE, MOZILLA))


def _check_point(field: str, key: str, allowed: str) -> None:
    try:
        p256.public_key(key)
    except ValueError:
        raise wrong(field, allowed) from None


def _as_ours(key: str) -> str:
    """The key as PNS writes keys: without padding."""
    return p256.encode(p256.decode(key, p256.POINT_BYTES))


def _origin(registration: Registration) -> Origin | None:
    if not registration.origin:
        return None
    if (origin := parse_origin(registration.origin)) is None:
        raise wrong("/origin", 'must be the origin of the page, such as "https://shop.example"')
    return origin
