"""The URLs of the settings: which setting takes which form.

Each function takes a text and returns the text. For a wrong text it raises ValueError with the remedy, as
the end of a sentence that begins with the setting's name. The adapters read the same texts by the same
modules: address.py, postgres_url.py, broker_url.py, proxy_url.py, and `sqlite_path` here. Pure.
"""

from __future__ import annotations

from pns.settings.address import decoded, scheme_of
from pns.settings.broker_url import mqtt, nats, redis
from pns.settings.postgres_url import bus_database, postgres
from pns.settings.proxy_url import proxy

STORE_SCHEMES = ("sqlite", "postgresql")
BROKER_SCHEMES = ("redis", "rediss", "nats", "postgresql")
BUS_SCHEMES = ("local", *BROKER_SCHEMES)


def store_url(text: str) -> str:
    """`store.url`."""
    if scheme_of(text, STORE_SCHEMES) == "sqlite":
        sqlite_path(text)
    else:
        postgres(text)
    return text


def bus_url(text: str) -> str:
    """`bus.url`."""
    match scheme_of(text, BUS_SCHEMES):
        case "postgresql":
            bus_database(text)
        case "redis" | "rediss":
            redis(text)
        case "nats":
            nats(text)
    return text


def mqtt_url(text: str) -> str:
    """`push.mqtt.url`."""
    mqtt(text)
    return text


def device_url(text: str) -> str:
    """`push.mqtt.device_url`."""
    mqtt(text, web=True)
    return text


def proxy_url(text: str) -> str:
    """`outbound.proxy`."""
    proxy(text)
    return text


def passed_over(text: str) -> tuple[str, ...]:
    """The options of a store's or a bus's URL that have no meaning for PNS, by name."""
    match text.partition("://")[0]:
        case "postgresql":
            return postgres(text).passed_over
        case "redis" | "rediss":
            return redis(text).passed_over
    return ()


def sqlite_path(text: str) -> str:
    """`sqlite:///pns.db` is a relative path, `sqlite:////var/lib/pns.db` is absolute."""
    scheme_of(text, ("sqlite",))
    rest = text.removeprefix("sqlite://")
    if "#" in rest or "?" in rest:
        raise ValueError(
            "must be sqlite:/// and the path of a file, without options; in the path write # as %23 and ? as "
            "%3F (earlier releases opened the file that is named by the text before # or ?)"
        )
    if not rest.startswith("/"):
        raise ValueError("must have three slashes before a relative path, four before an absolute one")
    if not rest.isprintable():
        raise ValueError("must have no control characters")
    path = decoded(rest.removeprefix("/"))
    if not path or path.endswith("/"):
        raise ValueError("must name a file, such as sqlite:///pns.db or sqlite:////var/lib/pns/pns.db")
    if path.startswith(":memory:"):
        raise ValueError("must name a file: memory keeps nothing")
    return path
