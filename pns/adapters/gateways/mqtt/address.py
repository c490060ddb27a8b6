"""The address of the broker, for PNS and for devices, and the rules for a topic. Pure: no look-up."""

from __future__ import annotations

import re
from typing import NamedTuple

from pns.errors import SettingsError
from pns.settings.broker_url import mqtt

_LEVEL = re.compile(r"[^/+#]*")
_PREFIX = re.compile(r"[^$/+#\0][^+#\0]*")


class Place(NamedTuple):
    """`url` is the text of the settings; `tls`: whether the line is encrypted."""

    url: str
    host: str
    port: int
    tls: bool


def parse(url: str, key: str) -> Place:
    """The place named by `url`. Raises SettingsError naming `key`, without the value."""
    try:
        parts = mqtt(url, web=True)
    except ValueError as error:
        raise SettingsError(f"{key} {error}") from None
    return Place(url, parts.host, parts.port, parts.tls)


def check_prefix(prefix: str) -> None:
    """Raise SettingsError if no topic can begin so (MQTT 5 §4.7)."""
    if not _PREFIX.fullmatch(prefix) or prefix.endswith("/"):
        raise SettingsError(
            "push.mqtt.topic_prefix must not be empty, begin with $ or /, end with /, or contain + or #"
        )


def is_level(text: str) -> bool:
    """Whether `text` can be one level of a topic, and never reads as a pattern.

    A broker may end the connection over control characters and noncharacters (MQTT 5 §1.5.4), and with the
    connection every message under way.
    """
    return _LEVEL.fullmatch(text) is not None and text.isprintable()
