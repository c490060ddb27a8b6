"""From settings to a node: URL scheme → adapter. Only this module knows every adapter by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from starlette.requests import HTTPConnection

from pns.adapters.authorities.any_of import AnyOf
from pns.adapters.authorities.api_key import ApiKeys
from pns.adapters.authorities.application import ApplicationLogin
from pns.adapters.authorities.callback import CallbackLogin, FixedUser
from pns.adapters.authorities.oauth2 import OAuth2
from pns.adapters.buses.local import LocalBus
from pns.adapters.buses.signal_bus import SignalBus
from pns.adapters.buses.trial import trouble
from pns.adapters.buses.wire import Wire
from pns.adapters.stores.sqlite.archive import SQLiteArchive
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.archive import Archive
from pns.contracts.authority import ApplicationAuthority, DeviceAuthority, UserOf
from pns.contracts.bus import Bus
from pns.contracts.gateway import Gateway
from pns.contracts.store import Store
from pns.errors import SettingsError
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings, Settings


def make_store(settings: Settings, *, clock: Clock, metrics: Metrics) -> Store:
    """The store of `store.url`, not opened yet. Raises SettingsError."""
    url = settings.store.url
    if urlsplit(url).scheme == "sqlite":
        return SQLiteStore(sqlite_path(url), clock=clock, metrics=metrics)
    with _extra("postgres", "store.url"):
        from pns.adapters.stores.postgres.store import PostgresStore
    return PostgresStore(url, clock=clock, metrics=metrics)


def sqlite_path(url: str) -> str:
    """`sqlite:///pns.db` is a relative path, `sqlite:////var/lib/pns.db` an absolute one."""
    return unquote(urlsplit(url).path.removeprefix("/"))


def make_archive(url: str) -> Archive:
    """The store at `url` as rows, not opened yet. Raises SettingsError."""
    if urlsplit(url).scheme == "sqlite":
        return SQLiteArchive(sqlite_path(url))
    with _extra("postgres", "postgresql://"):
        from pns.adapters.stores.postgres.archive import PostgresArchive
    return PostgresArchive(url)


def make_bus(settings: Settings, store: Store, *, clock: Clock, metrics: Metrics) -> Bus:
    """The bus of `bus.url`, not started yet. Raises SettingsError."""
    url = settings.bus.url
    if urlsplit(url).scheme == "local":
        return LocalBus(store.foreign_changes, clock=clock, metrics=metrics)
    return SignalBus(_make_wire(url), clock=clock, metrics=metrics)


async def bus_trouble(settings: Settings, *, seconds: float) -> str:
    """Why the broker of `bus.url`, which is not local, carries nothing; else empty. Raises SettingsError."""
    return await trouble(_make_wire(settings.bus.url), seconds=seconds)


def _make_wire(url: str) -> Wire:
    scheme = urlsplit(url).scheme
    if scheme == "nats":
        with _extra("nats", "bus.url"):
            from pns.adapters.buses.nats import NATSWire
        return NATSWire(url)
    if scheme == "postgresql":
        with _extra("postgres", "bus.url"):
            from pns.adapters.buses.postgres import PostgresWire
        return PostgresWire(url)
    with _extra("redis", "bus.url"):
        from pns.adapters.buses.redis import RedisWire
    return RedisWire(url)


@contextmanager
def _extra(name: str, key: str) -> Iterator[None]:
    """The imports inside need an extra of the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pns"):
            raise
        raise SettingsError(
            f"{key} needs the package {error.name}: install it with `pip install '.[{name}]'` in the folder "
            "that PNS was installed from"
        ) from error


class HalfConfigured(NamedTuple):
    """A gateway that is off although a key of its section is set. All three are keys of the settings."""

    given: str
    gateway: str
    missing: str


def half_configured(push: PushSettings) -> Iterator[HalfConfigured]:
    """The gateways with a key set, but none of the keys that turn the gateway on."""
    for name, section in push.gateways.items():
        if not section.is_on and (changed := section.changed()):
            at = f"push.{name}"
            missing = " or ".join(f"{at}.{key}" for key in section.switches)
            yield HalfConfigured(f"{at}.{changed[0]}", at, missing)


def make_gateways(settings: Settings, store: Store, *, clock: Clock) -> list[Gateway]:
    """The configured gateways, not started yet. Azure stands first, and takes new devices of other gateways.

    Raises SettingsError.
    """
    push, made = settings.push, list[Gateway]()
    if push.azure.is_on:
        from pns.adapters.gateways.azure.gateway import Azure

        made.append(Azure(push.azure, clock=clock))
    if push.fcm.is_on:
        with _extra("fcm", "push.fcm.credentials"):
            from pns.adapters.gateways.fcm.gateway import FCM
        made.append(FCM(push.fcm, clock=clock))
    if push.apns.is_on:
        with _extra("apns", "push.apns"):
            import h2  # noqa: F401
        from pns.adapters.gateways.apns.gateway import APNs

        made.append(APNs(push.apns, clock=clock))
    if push.webpush.is_on:
        from pns.adapters.gateways.webpush.gateway import WebPush

        made.append(WebPush(push.webpush, clock=clock, private_key=partial(_push_key, settings, store)))
    if push.mqtt.is_on:
        with _extra("mqtt", "push.mqtt.url"):
            from pns.adapters.gateways.mqtt.gateway import MQTT
        made.append(MQTT(push.mqtt, clock=clock))
    return made


async def _push_key(settings: Settings, store: Store) -> str:
    return settings.push.webpush.private_key or await store.push_key()


class WebPushKey(NamedTuple):
    """A VAPID key pair, base64url. Never print `private` unasked."""

    private: str
    public: str


def new_webpush_key() -> WebPushKey:
    """A new key pair."""
    from pns.adapters.gateways.webpush import vapid

    private = vapid.new_private_key()
    return WebPushKey(private, vapid.public_key(private))


def make_device_authority(
    settings: Settings, store: Store, *, clock: Clock, metrics: Metrics
) -> DeviceAuthority:
    """The login call to the application; without `auth.url`, nobody is let in."""
    if not settings.auth.url:
        return make_callback_authority(_nobody, settings, store, clock=clock)
    return ApplicationLogin(
        settings.auth, clock=clock, metrics=metrics, newest_revocation=store.newest_revocation
    )


async def _nobody(request: HTTPConnection) -> None:
    """A login that lets nobody in: of a node of role "push", or of a library without `user`."""


def make_callback_authority(
    user: UserOf, settings: Settings, store: Store, *, clock: Clock
) -> DeviceAuthority:
    """A function of the host, asked each time."""
    return CallbackLogin(user, settings.auth, clock=clock, newest_revocation=store.newest_revocation)


async def fixed_user(user_id: str, store: Store) -> DeviceAuthority:
    """The user whom the host names now, as new as the store's newest revocation."""
    return FixedUser(user_id, revocation=await store.newest_revocation())


def make_application_authority(settings: Settings, *, clock: Clock) -> ApplicationAuthority:
    """The right to call the application's endpoints: by API keys, by access tokens, or for nobody."""
    authorities: list[ApplicationAuthority] = [ApiKeys(settings.app.api_keys)]
    if settings.app.oauth2.issuer:
        authorities.append(OAuth2(settings.app.oauth2, clock=clock))
    return authorities[0] if len(authorities) == 1 else AnyOf(*authorities)
