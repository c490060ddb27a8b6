"""The settings: every key of config.toml, its type, its default and what is allowed.

The one root module that reads a file, and only in `Settings.load`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1)]

FORWARD_HEADERS = ("cookie", "authorization", "accept-language", "user-agent", "origin")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ServerSettings(_Section, frozen=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    heartbeat_seconds: Seconds = 45
    send_timeout_seconds: Seconds = 10
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10
    compression: bool = False
    public_metrics: bool = False


class AuthSettings(_Section, frozen=True):
    url: str = ""
    method: Annotated[str, Meta(pattern="^[A-Z]{1,16}$")] = "POST"
    forward_headers: tuple[str, ...] = FORWARD_HEADERS
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 5
    cache_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10
    recheck_seconds: Annotated[float, Meta(ge=0)] = 300
    max_concurrency: Count = 64


class OAuth2Settings(_Section, frozen=True):
    issuer: str = ""
    jwks_url: str = ""
    audience: str = ""
    scope: str = "pns.notify"


class AppSettings(_Section, frozen=True):
    api_keys: tuple[str, ...] = ()
    oauth2: OAuth2Settings = OAuth2Settings()


class SessionSettings(_Section, frozen=True):
    secret: str = ""
    cookie_name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] = "pns_device"
    same_site: Literal["lax", "strict", "none"] = "lax"


class StoreSettings(_Section, frozen=True):
    url: str = "sqlite:///pns.db"


class BusSettings(_Section, frozen=True):
    url: str = "local://"


class RetentionSettings(_Section, frozen=True):
    seen_days: Annotated[float, Meta(ge=0)] = 30


class LimitsSettings(_Section, frozen=True):
    page_size: Annotated[int, Meta(ge=1, le=5000)] = 500
    page_bytes: Count = 262_144
    max_message_bytes: Annotated[int, Meta(ge=256)] = 4_096
    max_notification_bytes: Annotated[int, Meta(ge=1, le=131_072)] = 65_536
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 1_048_576
    requests_per_second: Annotated[float, Meta(gt=0)] = 20
    connections_per_user: Count = 50
    connections: Count = 20_000


class LogSettings(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(_Section, frozen=True):
    """All settings of one node. Immutable; the defaults run alone."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    app: AppSettings = AppSettings()
    session: SessionSettings = SessionSettings()
    store: StoreSettings = StoreSettings()
    bus: BusSettings = BusSettings()
    retention: RetentionSettings = RetentionSettings()
    limits: LimitsSettings = LimitsSettings()
    log: LogSettings = LogSettings()
