"""Shared access signatures of Azure (SAS): good for an hour, made with the key of the connection string.

Pure but for the given clock. The key is used as text, not decoded from base64. No error repeats a connection
string or a key.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import quote

from pns.errors import SettingsError
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock

LIFETIME_SECONDS = 3600
MARGIN_SECONDS = 300
"""How long before its end a signature is not used any more: a clock may be late."""

_ENDPOINT = re.compile(r"sb://([A-Za-z0-9.-]+(?::[0-9]{1,5})?)/?")
_PARTS = {"Endpoint", "SharedAccessKeyName", "SharedAccessKey"}


class Access(NamedTuple):
    """The URL of a namespace, ending in a slash, with its policy and key."""

    url: str
    name: str
    key: str


def parse(connection_string: str) -> Access:
    """Raises SettingsError, without any of the text, for any text but a namespace's connection string."""
    texts = [part.partition("=") for part in connection_string.split(";") if part.strip()]
    parts = {name.strip(): value.strip() for name, _, value in texts}
    endpoint = _ENDPOINT.fullmatch(parts.get("Endpoint", ""))
    if endpoint is None or parts.keys() != _PARTS or len(texts) != len(_PARTS) or not all(parts.values()):
        raise SettingsError(
            "push.azure.connection_string must be as the portal shows it: "
            "Endpoint=sb://….servicebus.windows.net/;SharedAccessKeyName=…;SharedAccessKey=…"
        )
    return Access(f"https://{endpoint[1]}/", parts["SharedAccessKeyName"], parts["SharedAccessKey"])


def sign(access: Access, end: int) -> str:
    """The value of `Authorization` for the namespace until `end`, seconds since 1970."""
    resource = _quoted(access.url.lower())
    digest = hmac.digest(access.key.encode(), f"{resource}\n{end}".encode(), "sha256")
    signature = _quoted(b64encode(digest).decode())
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={end}&skn={_quoted(access.name)}"


def _quoted(text: str) -> str:
    return quote(text, safe="!*'()")


class Signatures:
    """The signature in use."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._current = ""
        self._end = 0

    def current(self) -> str:
        """A signature that is good for `MARGIN_SECONDS` at least."""
        now = self._clock.now() // SECOND
        if now > self._end - MARGIN_SECONDS or now < self._end - LIFETIME_SECONDS:
            self._end = now + LIFETIME_SECONDS
            self._current = sign(self._access, self._end)
        return self._current

    def drop(self, refused: str) -> None:
        """Make a new signature next time, unless a newer one is there already."""
        if refused == self._current:
            self._end = 0
