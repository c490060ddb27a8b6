"""From settings to a node: URL scheme → adapter. Only this module knows every adapter by name.

An adapter is loaded where the adapter is made: a start pays for the libraries of its own settings alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import HTTPConnection

from pns.adapters.authorities.any_of import AnyOf
from pns.adapters.authorities.api_key import ApiKeys
from pns.adapters.buses.local import LocalBus
from pns.contracts.authority import ApplicationAuthority, DeviceAuthority, UserOf
from pns.contracts.bus import Bus
from pns.contracts.gateway import Gateway
from pns.contracts.outgoing import Intake, Outgoing
from pns.contracts.receiver import EventFunction, Receiver
from pns.contracts.store import Store
from pns.errors import SettingsError
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms
from pns.node import Adapters
from pns.push.webhook.engine import webhook_terms
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings, Settings, urls
from pns.settings.proxy_url import proxy
from pns.settings.rules import Constraint
from pns.settings.urls import sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pns.adapters.authorities.oauth2 import OAuth2
    from pns.adapters.buses.wire import Wire
    from pns.contracts.archive import Archive
    from pns.contracts.backups import Backups
    from pns.runtime.proxy import Proxy

    Database = Engine | AsyncEngine | Outgoing
    """Where an application's table of notifications is."""

log = logging.getLogger(__name__)

NOTHING_TOLD: Mapping[WebhookKind, EventFunction] = {}
"""No function of a host takes events."""


def make_adapters(
    settings: Settings,
    *,
    user: UserOf | None = None,
    operator: UserOf | None = None,
    told: Mapping[WebhookKind, EventFunction] = NOTHING_TOLD,
    clock: Clock,
    metrics: Metrics,
) -> Adapters:
    """The adapters of a node, not started yet. Raises SettingsError.

    `user`: the host's own function from a request to the user's id, in place of the login call. `operator`:
    the host's function that returns True for the request of an operator. `told`: the host's functions that
    take events, in place of `webhook.url`.
    """
    if operator is not None and user is None:
        raise SettingsError("operator= needs user=: without user=, the answer of auth.url names operators")
    receives = receiver_kinds(settings, told)
    store = make_store(
        settings, clock=clock, metrics=metrics, webhook=webhook_terms(settings.webhook, receives)
    )
    for options in passed_over(settings):
        log.info("%s has options that PNS passes over: %s", *options)
    authority = (
        make_device_authority(settings, store, clock=clock, metrics=metrics)
        if user is None
        else make_callback_authority(user, settings, store, clock=clock, operator=operator)
    )
    bus = make_bus(settings, store, clock=clock, metrics=metrics)
    gateways = make_gateways(settings, store, clock=clock)
    return Adapters(store, bus, authority, gateways, make_receiver(settings, store, told, clock=clock))


def make_store(
    settings: Settings, *, clock: Clock, metrics: Metrics, webhook: WebhookTerms = NO_WEBHOOK
) -> Store:
    """The store of `store.url`, not opened yet. `webhook`: what is written for the application. Raises
    SettingsError.
    """
    url, timelines = settings.store.url, settings.timeline.keep_days > 0
    if _scheme(url, urls.store_url, at="store.url") == "sqlite":
        from pns.adapters.stores.sqlite.store import SQLiteStore

        return SQLiteStore(
            sqlite_path(url), clock=clock, metrics=metrics, webhook=webhook, timelines=timelines
        )
    with _extra("postgres", "store.url"):
        from pns.adapters.stores.postgres.store import PostgresStore
    return PostgresStore(url, clock=clock, metrics=metrics, webhook=webhook, timelines=timelines)


def make_backups(url: str) -> Backups:
    """Backups of the SQLite store at `url`. Raises SettingsError for another store, with its own way."""
    if _scheme(url, urls.store_url, at="store.url") != "sqlite":
        raise SettingsError(
            "store.url is PostgreSQL: take a backup with `pg_dump --schema=pns --format=custom`, and bring "
            "it back with `pg_restore` (docs/operations.md)"
        )
    from pns.adapters.stores.backup import SQLiteBackups

    return SQLiteBackups(Path(sqlite_path(url)))


def make_archive(url: str) -> Archive:
    """The store at `url` as rows, not opened yet. Raises SettingsError."""
    if _scheme(url, urls.store_url, at="a store's URL") == "sqlite":
        from pns.adapters.stores.sqlite.archive import SQLiteArchive

        return SQLiteArchive(sqlite_path(url))
    with _extra("postgres", "postgresql://"):
        from pns.adapters.stores.postgres.archive import PostgresArchive
    return PostgresArchive(url)


def make_outgoing(database: str | Database, *, clock: Clock) -> Outgoing:
    """The table of an application, by the database's URL or by an engine of SQLAlchemy; or `database` itself.

    Raises SettingsError.
    """
    if isinstance(database, Outgoing):
        return database
    with _extra("sqlalchemy", "a table of notifications"):
        from pns.adapters.outgoing.engines import engine_of, is_engine
        from pns.adapters.outgoing.sqlalchemy import SQLAlchemyOutgoing
    if isinstance(database, str):
        return SQLAlchemyOutgoing(engine_of(database), clock=clock, owned=True)
    if not is_engine(database):
        raise SettingsError(f"outgoing is an engine of SQLAlchemy or a URL, not {type(database).__name__}")
    return SQLAlchemyOutgoing(database, clock=clock)


def make_intake(url: str, *, key: str) -> Intake:
    """The PNS at `url`, for an application with this API key."""
    from pns.adapters.intakes.http import HTTPIntake

    return HTTPIntake(url, key=key)


def make_bus(settings: Settings, store: Store, *, clock: Clock, metrics: Metrics) -> Bus:
    """The bus of `bus.url`, not started yet. Raises SettingsError."""
    url = settings.bus.url
    if _scheme(url, urls.bus_url, at="bus.url") == "local":
        return LocalBus(store.foreign_changes, clock=clock, metrics=metrics)
    from pns.adapters.buses.signal_bus import SignalBus

    return SignalBus(_make_wire(url), clock=clock, metrics=metrics)


async def bus_trouble(settings: Settings, *, seconds: float) -> str:
    """Why the broker of `bus.url`, which is not local, carries nothing; else empty. Raises SettingsError."""
    from pns.adapters.buses.trial import trouble

    return await trouble(_make_wire(settings.bus.url), seconds=seconds)


def _make_wire(url: str) -> Wire:
    scheme = _scheme(url, urls.bus_url, at="bus.url")
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


def _scheme(url: str, constraint: Constraint, *, at: str) -> str:
    """The scheme of `url`. Raises SettingsError, also for settings made in code."""
    try:
        return constraint(url).partition("://")[0]
    except ValueError as error:
        raise SettingsError(f"{at} {error}") from None


class PassedOver(NamedTuple):
    """Options of a URL without a meaning for PNS. `key` names the setting, `options` their names."""

    key: str
    options: str


def passed_over(settings: Settings) -> Iterator[PassedOver]:
    """What the start tells of `store.url` and `bus.url`."""
    for key, url in (("store.url", settings.store.url), ("bus.url", settings.bus.url)):
        if names := urls.passed_over(url):
            yield PassedOver(key, ", ".join(names))


@contextmanager
def _extra(name: str, key: str) -> Iterator[None]:
    """The import inside needs an extra of the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pns"):
            raise
        raise SettingsError(
            f"{key} needs the package {error.name}: install it with `pip install 'pns-server[{name}]'`"
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
    """The gateways that are on, not started yet. A gateway that takes devices of other networks comes first.

    Raises SettingsError.
    """
    push, made, proxy = settings.push, list[Gateway](), _proxy(settings)
    if push.azure.is_on:
        from pns.adapters.gateways.azure.gateway import Azure

        made.append(Azure(push.azure, clock=clock, proxy=proxy))
    if push.fcm.is_on:
        with _extra("fcm", "push.fcm.credentials"):
            from pns.adapters.gateways.fcm.gateway import FCM
        made.append(FCM(push.fcm, clock=clock, proxy=proxy))
    if push.apns.is_on:
        with _extra("apns", "push.apns"):
            import hpack  # noqa: F401
        from pns.adapters.gateways.apns.gateway import APNs

        made.append(APNs(push.apns, clock=clock, proxy=proxy))
    if push.webpush.is_on:
        from pns.adapters.gateways.webpush.gateway import WebPush

        key = partial(_push_key, settings, store)
        made.append(WebPush(push.webpush, clock=clock, private_key=key, proxy=proxy))
    if push.mqtt.is_on:
        with _extra("mqtt", "push.mqtt.url"):
            from pns.adapters.gateways.mqtt.gateway import MQTT
        made.append(MQTT(push.mqtt, clock=clock))
    return made


def receiver_kinds(
    settings: Settings, told: Mapping[WebhookKind, EventFunction] = NOTHING_TOLD
) -> frozenset[WebhookKind]:
    """What the application is told; nothing without `webhook.url` and functions. Raises SettingsError."""
    for kind, function in told.items():
        if not callable(function):
            raise SettingsError(f"on_{kind} is a function of an event, not {type(function).__name__}")
        if settings.webhook.url:
            raise SettingsError(f"webhook.url and on_{kind}= exclude each other: leave one of them out")
    if told:
        return frozenset(told)
    return frozenset(map(WebhookKind, settings.webhook.events)) if settings.webhook.url else frozenset()


def make_receiver(
    settings: Settings,
    store: Store,
    told: Mapping[WebhookKind, EventFunction] = NOTHING_TOLD,
    *,
    clock: Clock,
) -> Receiver | None:
    """The way to tell the application, not started yet; None where nothing is told. Raises SettingsError."""
    if not receiver_kinds(settings, told):
        return None
    if told:
        from pns.adapters.receivers.functions import HostFunctions

        return HostFunctions(told, clock=clock)
    from pns.adapters.receivers.url import WebhookURL

    return WebhookURL(settings.webhook, secret=partial(webhook_secret, settings, store))


async def webhook_secret(settings: Settings, store: Store) -> str:
    """The secret that signs webhooks: of the settings, or of the store."""
    return settings.webhook.secret or await store.webhook_secret()


async def webpush_reach(settings: Settings, endpoints: Iterable[str], *, clock: Clock) -> Mapping[str, str]:
    """The push services of `endpoints`, or the best known; each with the reason why it is not reached, or "".

    Raises SettingsError.
    """
    from pns.adapters.gateways.webpush.reach import try_hosts

    proxy = _proxy(settings)
    return dict(await try_hosts(settings.push.webpush, endpoints, clock=clock, proxy=proxy))


def _proxy(settings: Settings) -> Proxy | None:
    if not settings.outbound.proxy:
        return None
    from pns.runtime.proxy import Proxy

    try:
        return Proxy(*proxy(settings.outbound.proxy))
    except ValueError as error:
        raise SettingsError(f"outbound.proxy {error}") from None


async def _push_key(settings: Settings, store: Store) -> str:
    return settings.push.webpush.private_key or await store.vapid_key()


class WebPushKey(NamedTuple):
    """A VAPID key pair, base64url. Print `private` only where the operator asks for the key."""

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
    from pns.adapters.authorities.application import ApplicationLogin

    return ApplicationLogin(
        settings.auth, clock=clock, metrics=metrics, newest_revocation=store.newest_revocation
    )


async def _nobody(request: HTTPConnection) -> None:
    """The login of a node that lets nobody in: a node of role "push", or a library without `user`."""


def make_callback_authority(
    user: UserOf, settings: Settings, store: Store, *, clock: Clock, operator: UserOf | None = None
) -> DeviceAuthority:
    """A function of the host, asked each time."""
    from pns.adapters.authorities.callback import CallbackLogin

    return CallbackLogin(
        user, settings.auth, clock=clock, newest_revocation=store.newest_revocation, operator=operator
    )


async def fixed_user(user_id: str, store: Store) -> DeviceAuthority:
    """The user whom the host names now, as new as the store's newest revocation."""
    from pns.adapters.authorities.callback import FixedUser

    return FixedUser(user_id, revocation=await store.newest_revocation())


def make_application_authority(settings: Settings, *, clock: Clock) -> ApplicationAuthority:
    """The authority for the application's endpoints: API keys, access tokens, or nobody."""
    authorities: list[ApplicationAuthority] = [ApiKeys(settings.app.api_keys)]
    if settings.app.oauth2.issuer:
        authorities.append(_oauth2(settings, clock=clock))
    return authorities[0] if len(authorities) == 1 else AnyOf(*authorities)


def _oauth2(settings: Settings, *, clock: Clock) -> OAuth2:
    from pns.adapters.authorities.oauth2 import OAuth2

    return OAuth2(settings.app.oauth2, clock=clock, proxy=_proxy(settings))


async def issuer_trouble(settings: Settings, *, clock: Clock) -> str:
    """Why the keys of `app.oauth2.issuer` cannot be fetched; else empty. Raises SettingsError."""
    return await _oauth2(settings, clock=clock).trouble()


async def token_flaw(settings: Settings, token: str, *, clock: Clock) -> str:
    """Why an access token is refused; else empty. Raises AuthUnavailable without the issuer's keys."""
    return await _oauth2(settings, clock=clock).flaw(token.encode())
