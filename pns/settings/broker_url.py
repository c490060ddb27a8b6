"""The URLs of brokers: Redis, NATS and MQTT, read before anything is connected.

Raises ValueError as address.py does. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pns.settings import options as option
from pns.settings.address import Address, read

_REDIS_LINE = frozenset(
    (
        *("db", "username", "password", "client_name", "health_check_interval"),
        *("ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"),
        *("ssl_password", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
    )
)
"""What redis-py itself reads."""
_REDIS_PASSED_OVER = frozenset(
    (
        # The bus has deadlines, probes and a protocol of its own.
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "timeout"),
        *("connect_timeout", "command_timeout", "retry_on_timeout", "retry_on_error", "max_connections"),
        *("protocol", "legacy_responses", "decode_responses", "encoding", "encoding_errors"),
        *("lib_name", "lib_version", "family", "dial_timeout", "read_timeout", "write_timeout", "pool_size"),
    )
)
_REQUIREMENTS = {
    **{name: name for name in ("none", "optional", "required")},
    **{f"cert_{name}": name for name in ("none", "optional", "required")},
}
"""As redis-py says, and as Python's own names are."""
_REDIS_CHOICES = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "True", "1", "yes", "false", "False", "0", "no"),
    "ssl_min_version": ("769", "770", "771", "772"),  # Python's numbers for TLS 1.0 to 1.3
}
_NATS_NAME = re.compile(r"[A-Za-z0-9_-]*")
_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class RedisURL(NamedTuple):
    """A database of Redis. `line`: options that redis-py reads, each a text. `tls`: of `rediss://`."""

    tls: bool
    host: str
    port: int
    user: str
    password: str
    database: int
    line: Mapping[str, str]
    passed_over: tuple[str, ...]


def redis(text: str) -> RedisURL:
    """The database of a `redis://` or `rediss://` URL."""
    parts = read(text, ("redis", "rediss"))
    host, tls = parts.host, parts.scheme == "rediss"
    kept, passed_over = option.sort(parts.options, honoured=_REDIS_LINE, passed_over=_REDIS_PASSED_OVER)
    user, password = kept.pop("username", ""), kept.pop("password", "")
    database = parts.path.strip("/") or kept.pop("db", "0")
    kept.pop("db", None)
    if not re.fullmatch(r"[0-9]{1,9}", database):
        raise ValueError("must end in the number of a database, such as redis://host:6379/1")
    if not tls and any(name.startswith("ssl_") for name in kept):
        raise ValueError("must start with rediss:// for the options after ? that begin with ssl_")
    return RedisURL(
        tls,
        host.name,
        host.port or 6379,
        parts.user or user,
        parts.password or password,
        int(database),
        _checked(kept),
        passed_over,
    )


def _checked(kept: dict[str, str]) -> Mapping[str, str]:
    wanted = kept.get("ssl_cert_reqs")
    if wanted is not None:
        kept["ssl_cert_reqs"] = _REQUIREMENTS.get(wanted.lower(), wanted)
    option.check_choices(kept, _REDIS_CHOICES)
    interval = kept.get("health_check_interval", "0")
    if not re.fullmatch(r"[0-9]{1,6}", interval):
        raise ValueError("must have health_check_interval after ? as a number of seconds")
    return kept


class NATSURL(NamedTuple):
    """A NATS server. `name`: the path. Without a password, `user` is a token."""

    host: str
    port: int
    user: str
    password: str
    name: str


def nats(text: str) -> NATSURL:
    """The server of a `nats://` URL."""
    parts = read(text, ("nats",))
    host, name = parts.host, parts.path.strip("/")
    if not _NATS_NAME.fullmatch(name) or parts.options:
        raise ValueError(
            "may end in a name of letters, digits, _ and -, and takes no options: nats://host:4222/name"
        )
    return NATSURL(host.name, host.port or 4222, parts.user, parts.password, name)


class MQTTURL(NamedTuple):
    """An MQTT broker. `tls`: whether the line is encrypted."""

    host: str
    port: int
    tls: bool


def mqtt(text: str, *, web: bool = False) -> MQTTURL:
    """The broker of an `mqtt://` or `mqtts://` URL; with `web` of a `ws://` or `wss://` URL, too."""
    parts = _without_login(text, tuple(_MQTT_PORTS)[: None if web else 2])
    host = parts.host
    return MQTTURL(host.name, host.port or _MQTT_PORTS[parts.scheme], parts.scheme in ("mqtts", "wss"))


def _without_login(text: str, schemes: tuple[str, ...]) -> Address:
    parts = read(text, schemes)
    if parts.user or parts.password:
        raise ValueError("must have no user: set push.mqtt.username and push.mqtt.password")
    if parts.options:
        raise ValueError("must have no query")
    return parts
