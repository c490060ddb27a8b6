"""What APNs asks of a request, by Apple's pages, and what it may answer. Pure."""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from pns.runtime.clock import Clock

KEY_ID, TEAM_ID, TOPIC = "ABC123DEFG", "DEF123GHIJ", "com.example.shop"
PUSH_TYPES = (
    *("alert", "background", "location", "voip", "complication", "fileprovider", "mdm", "liveactivity"),
    *("pushtotalk", "widgets", "controls"),
)


class Sent(NamedTuple):
    """A request, as it came. `certificate`: whether the client has shown one."""

    method: str
    path: str
    headers: dict[str, str]
    repeated: bool
    body: bytes
    connection: int
    certificate: bool

    @property
    def token(self) -> str:
        return self.path.removeprefix("/3/device/")


class Reply(NamedTuple):
    """`text` stands in place of APNs' JSON."""

    status: int = 200
    reason: str = ""
    timestamp: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    text: str | None = None

    @property
    def body(self) -> bytes:
        if self.text is not None or self.status == 200:
            return (self.text or "").encode()
        found = {"reason": self.reason, "timestamp": self.timestamp}
        return json.dumps({key: value for key, value in found.items() if value}).encode()


Act = Reply | Literal["hang", "reset", "reset stream", "goaway"]


class Rules:
    """What APNs asks of a request, in the order in which it looks."""

    def __init__(self, key: ECKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._token = ""
        self._token_since = float("-inf")

    def flaw_of_sender(self, sent: Sent) -> Reply | None:
        scheme, _, token = sent.headers.get("authorization", "").partition(" ")
        if not token:
            return None if sent.certificate else Reply(403, "MissingProviderToken")
        try:
            found = jwt.decode(token, self._key, algorithms=["ES256"])
        except (JoseError, ValueError):
            return Reply(403, "InvalidProviderToken")
        age = self._clock.now() / 1_000_000 - found.claims.get("iat", 0)
        if scheme != "bearer" or found.header["kid"] != KEY_ID or found.claims["iss"] != TEAM_ID or age < -60:
            return Reply(403, "InvalidProviderToken")
        if age > 3600:
            return Reply(403, "ExpiredProviderToken")
        return self._flaw_of_change(token)

    def _flaw_of_change(self, token: str) -> Reply | None:
        if token != self._token:
            if self._clock.monotonic() - self._token_since < 1200:
                return Reply(429, "TooManyProviderTokenUpdates")
            self._token, self._token_since = token, self._clock.monotonic()
        return None

    def flaw(self, sent: Sent) -> Reply | None:
        headers = sent.headers
        background = headers.get("apns-push-type") == "background"
        checks = (
            (405, "MethodNotAllowed", sent.method == "POST"),
            (404, "BadPath", sent.path.startswith("/3/device/")),
            (400, "MissingDeviceToken", sent.token),
            (400, "DuplicateHeaders", not sent.repeated),
            (400, "MissingTopic", "apns-topic" in headers or sent.certificate),
            (400, "TopicDisallowed", headers.get("apns-topic", TOPIC) == TOPIC),
            (400, "BadMessageId", _is_uuid(headers.get("apns-id", str(uuid4())))),
            (400, "InvalidPushType", headers.get("apns-push-type", "alert") in PUSH_TYPES),
            (
                400,
                "BadPriority",
                headers.get("apns-priority", "10") in (("5",) if background else ("10", "5", "1")),
            ),
            (400, "BadExpirationDate", headers.get("apns-expiration", "0").isdecimal()),
            (400, "BadCollapseId", len(headers.get("apns-collapse-id", "").encode()) <= 64),
            (400, "PayloadEmpty", sent.body),
            (413, "PayloadTooLarge", len(sent.body) <= 4096),
            (400, "BadDeviceToken", re.fullmatch(r"[0-9a-f]{64,}", sent.token)),
        )
        return next((Reply(status, reason) for status, reason, holds in checks if not holds), None)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
