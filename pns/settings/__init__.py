"""The settings: every key of config.toml, its type, its default and its allowed values.

Only `Settings.load` reads a file; sources.py does the reading. The meaning of each key stands in config.toml
itself. No secret ever appears in a `repr` or an error.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pns.errors import SettingsError
from pns.settings import rules as constraint
from pns.settings import sources as configuration
from pns.settings import urls
from pns.settings.rules import Constraint
from pns.settings.subject import subject

log = logging.getLogger(__name__)

FORWARD_HEADERS = ("cookie", "authorization", "accept-language", "user-agent", "origin")

_SECRETS = ("api_keys", "secret", "private_key", "connection_string", "password")


def _text(constraint: Constraint) -> Meta:
    """The constraint of a text, or of each entry of a list of texts."""
    return Meta(extra={"constraint": constraint})


Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
WebURL = Annotated[str, _text(constraint.web_url)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, _masked(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def changed(self) -> list[str]:
        """The keys of this section that differ from their defaults."""
        unset = type(self)()
        return [key for key in self.__struct_fields__ if getattr(self, key) != getattr(unset, key)]


def _masked(name: str, value: object) -> object:
    if name in _SECRETS and value:
        return "***"
    if isinstance(value, str) and "://" in value:
        return re.sub(r"[?#].*", "?***", re.sub(r"//.*@", "//***@", value, flags=re.DOTALL), flags=re.DOTALL)
    return value


class ServerSettings(_Section, frozen=True):
    host: Annotated[str, _text(constraint.bind_host)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8080
    allowed_origins: Annotated[tuple[str, ...], _text(constraint.origin)] = ()
    trusted_proxies: Annotated[tuple[str, ...], _text(constraint.network)] = ()
    heartbeat_seconds: Seconds = 45
    send_timeout_seconds: Seconds = 10
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10
    keep_alive_seconds: Seconds = 75
    compression: bool = False
    public_metrics: bool = False
    public_url: Annotated[str, _text(constraint.public_url)] = ""


class AuthSettings(_Section, frozen=True):
    url: WebURL = ""
    method: Annotated[str, _text(constraint.method)] = "POST"
    forward_headers: Annotated[tuple[str, ...], _text(constraint.header_name)] = FORWARD_HEADERS
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 5
    cache_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10
    recheck_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 300
    max_concurrency: Count = 64


class OAuth2Settings(_Section, frozen=True):
    issuer: WebURL = ""
    jwks_url: WebURL = ""
    audience: str = ""
    audience_claim: Annotated[str, _text(constraint.claim_name)] = "aud"
    scope: str = "pns.notify"
    scope_claim: Annotated[str, _text(constraint.claim_name)] = "scope"


class AppSettings(_Section, frozen=True):
    api_keys: Annotated[tuple[str, ...], _text(constraint.api_key)] = ()
    oauth2: OAuth2Settings = OAuth2Settings()


class SessionSettings(_Section, frozen=True):
    secret: str = ""
    cookie_name: Annotated[str, _text(constraint.cookie_name)] = "pns_device"
    same_site: Literal["lax", "strict", "none"] = "lax"


class StoreSettings(_Section, frozen=True):
    url: Annotated[str, _text(urls.store_url)] = "sqlite:///pns.db"

    @property
    def is_sqlite(self) -> bool:
        """A file of this machine; else a server of PostgreSQL."""
        return self.url.startswith("sqlite://")


class BusSettings(_Section, frozen=True):
    url: Annotated[str, _text(urls.bus_url)] = "local://"

    @property
    def is_local(self) -> bool:
        """No bus: one process is told of its own changes alone."""
        return self.url.startswith("local://")


class OutboundSettings(_Section, frozen=True):
    proxy: Annotated[str, _text(constraint.optional(urls.proxy_url))] = ""


class RetentionSettings(_Section, frozen=True):
    seen_days: Annotated[float, Meta(ge=0, le=36_500)] = 30


class TimelineSettings(_Section, frozen=True):
    keep_days: Annotated[float, Meta(ge=0, le=365)] = 7


class LimitsSettings(_Section, frozen=True):
    page_size: Annotated[int, Meta(ge=1, le=5000)] = 500
    page_bytes: Count = 262_144
    max_message_bytes: Annotated[int, Meta(ge=256, le=16_777_216)] = 4_096
    max_notification_bytes: Annotated[int, Meta(ge=1, le=131_072)] = 65_536
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 1_048_576
    requests_per_second: Annotated[float, Meta(gt=0, le=1_000_000)] = 20
    connections_per_user: Count = 50
    connections: Count = 20_000


class LogSettings(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


Rate = Annotated[float, Meta(gt=0, le=1_000_000)]


class GatewaySettings(_Section, frozen=True):
    """The section of a gateway. One of the keys in `switches` must be set, or the gateway is off."""

    @property
    def switches(self) -> Mapping[str, str]:
        """The keys that turn the gateway on, with their values."""
        raise NotImplementedError

    @property
    def is_on(self) -> bool:
        return any(self.switches.values())


class FCMSettings(GatewaySettings, frozen=True):
    credentials: str = ""
    project: str = ""
    url: WebURL = "https://fcm.googleapis.com"
    rate_per_second: Rate = 1000
    concurrency: Count = 100

    @property
    def switches(self) -> Mapping[str, str]:
        return {"credentials": self.credentials}


class APNsSettings(GatewaySettings, frozen=True):
    key_file: str = ""
    key_id: str = ""
    team_id: str = ""
    certificate_file: str = ""
    certificate_key_file: str = ""
    topic: str = ""
    url: WebURL = "https://api.push.apple.com"
    sandbox_url: WebURL = "https://api.sandbox.push.apple.com"
    ca_file: str = ""
    rate_per_second: Rate = 1000
    concurrency: Count = 100

    @property
    def switches(self) -> Mapping[str, str]:
        return {"key_file": self.key_file, "certificate_file": self.certificate_file}


class WebPushSettings(GatewaySettings, frozen=True):
    subject: Annotated[str, _text(constraint.optional(subject))] = ""
    private_key: str = ""
    allowed_networks: Annotated[tuple[str, ...], _text(constraint.network)] = ()
    ca_file: str = ""
    rate_per_second: Rate = 1000
    concurrency: Count = 100

    @property
    def switches(self) -> Mapping[str, str]:
        return {"subject": self.subject}


class AzureSettings(GatewaySettings, frozen=True):
    connection_string: str = ""
    hub: str = ""
    networks: tuple[Literal["fcm", "apns"], ...] = ("fcm", "apns")
    ca_file: str = ""
    rate_per_second: Rate = 1000
    concurrency: Count = 100

    @property
    def switches(self) -> Mapping[str, str]:
        return {"connection_string": self.connection_string}


class MQTTSettings(GatewaySettings, frozen=True):
    url: Annotated[str, _text(constraint.optional(urls.mqtt_url))] = ""
    username: str = ""
    password: str = ""
    ca_file: str = ""
    topic_prefix: str = "pns"
    provisioning: Literal["none", "dynamic-security"] = "none"
    device_url: Annotated[str, _text(constraint.optional(urls.device_url))] = ""
    rate_per_second: Rate = 1000
    concurrency: Count = 100

    @property
    def switches(self) -> Mapping[str, str]:
        return {"url": self.url}


class PushSettings(_Section, frozen=True):
    when: Literal["offline", "always", "unseen_after"] = "offline"
    unseen_after_seconds: Annotated[float, Meta(ge=0, le=2_419_200)] = 60
    ttl_seconds: Annotated[float, Meta(ge=60, le=2_419_200)] = 86_400
    timeout_seconds: Annotated[float, Meta(gt=0, le=120)] = 15
    keep_days: Annotated[float, Meta(gt=0, le=365)] = 7
    genero: bool = False
    fcm: FCMSettings = FCMSettings()
    apns: APNsSettings = APNsSettings()
    webpush: WebPushSettings = WebPushSettings()
    azure: AzureSettings = AzureSettings()
    mqtt: MQTTSettings = MQTTSettings()

    @property
    def gateways(self) -> Mapping[str, GatewaySettings]:
        """The section of each gateway, by the gateway's name."""
        return {
            "fcm": self.fcm,
            "apns": self.apns,
            "webpush": self.webpush,
            "azure": self.azure,
            "mqtt": self.mqtt,
        }


class WebhookSettings(_Section, frozen=True):
    url: WebURL = ""
    secret: Annotated[str, _text(constraint.optional(constraint.webhook_secret))] = ""
    events: tuple[Literal["unseen", "seen", "read", "device_removed"], ...] = ("unseen",)
    unseen_after_seconds: Annotated[float, Meta(ge=0, le=2_419_200)] = 900
    unseen_every_seconds: Annotated[float, Meta(ge=0, le=2_419_200)] = 3600
    timeout_seconds: Annotated[float, Meta(gt=0, le=120)] = 10
    retry_days: Annotated[float, Meta(gt=0, le=28)] = 3


class Settings(_Section, frozen=True):
    """All settings of a node. Immutable. A node starts with the defaults alone.

    Settings built in code are not checked: their values are the caller's responsibility. `load` checks each
    value.
    """

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    app: AppSettings = AppSettings()
    session: SessionSettings = SessionSettings()
    store: StoreSettings = StoreSettings()
    bus: BusSettings = BusSettings()
    outbound: OutboundSettings = OutboundSettings()
    retention: RetentionSettings = RetentionSettings()
    timeline: TimelineSettings = TimelineSettings()
    limits: LimitsSettings = LimitsSettings()
    push: PushSettings = PushSettings()
    webhook: WebhookSettings = WebhookSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def load(cls, path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of the file at `path`, else `PNS_CONFIG`, else ./config.toml, else the defaults.

        Variables `PNS_<SECTION>__<KEY>` of `environ` (the process's own by default) win over the file; lists
        are comma-separated. Raises SettingsError for a named file that cannot be read, an unknown key, a
        wrong type, an impossible value and a contradiction between keys. The error is a single line without
        any value. A variable of this form that belongs to no section is ignored, with a warning in the log.
        """
        environ = os.environ if environ is None else environ
        settings, places = configuration.read(cls, path, environ)
        for sentence in configuration.strangers(cls, environ):
            log.warning(sentence)
        for key, cause, remedy in settings._contradictions():
            place = places.get(key) or places[cause]
            raise SettingsError(f"{place}: {key} {remedy}")
        return settings

    def _contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Keys that contradict each other: the key to change, the key that requires the change, and the
        remedy.
        """
        oauth2, changed = self.app.oauth2, self.app.oauth2.changed()
        for name in ("issuer", "audience"):
            if changed and not getattr(oauth2, name):
                yield f"app.oauth2.{name}", f"app.oauth2.{changed[0]}", f"must be set where {changed[0]} is"
        if self.limits.max_body_bytes < 2 * self.limits.max_notification_bytes:
            # Twice, because JSON puts a backslash before each quote of the notification.
            remedy = "must be at least twice limits.max_notification_bytes"
            yield "limits.max_body_bytes", "limits.max_notification_bytes", remedy
