"""The meaning of FCM's answers: FCM's error codes first, then the status of HTTP.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. Of FCM's own words PNS keeps only the words
that cannot quote the message: an operator reads them, and a message is private mail.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from pns.adapters.gateways.http import reason, retry_after
from pns.contracts.gateway import Outcome, Receipt
from pns.runtime import http1

THIRD_PARTY = ("THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR")
"""For the project's APNs key or VAPID key, kept at Firebase: the trouble of the devices behind the key."""
SENDER_ID_MISMATCH = "SENDER_ID_MISMATCH"
"""The token is of another Firebase project than our key."""
THIRD_PARTY_SECONDS = 900.0
QUOTA_SECONDS = 60.0
"""Google asks for this wait where 429 comes without Retry-After."""

BY_CODE = {
    "UNREGISTERED": Outcome.DEVICE_INVALID,
    SENDER_ID_MISMATCH: Outcome.DEVICE_INVALID,
    "INVALID_ARGUMENT": Outcome.FAILED,
    **dict.fromkeys(THIRD_PARTY, Outcome.REFUSED),
    "QUOTA_EXCEEDED": Outcome.UNAVAILABLE,
    "UNAVAILABLE": Outcome.UNAVAILABLE,
    "INTERNAL": Outcome.UNAVAILABLE,
}
_BY_STATUS = {
    400: Outcome.FAILED,
    401: Outcome.REFUSED,
    403: Outcome.REFUSED,
    404: Outcome.REFUSED,  # no such project; an unknown device is UNREGISTERED
    413: Outcome.FAILED,
}


class _Violation(msgspec.Struct):
    field: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    """google.firebase.fcm.v1.FcmError has an error code, google.rpc.BadRequest has violations."""

    error_code: str = ""
    field_violations: list[_Violation] = []


class _Error(msgspec.Struct):
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Body(msgspec.Struct):
    """`name`: Google's name of an accepted message."""

    name: str = ""
    error: _Error = field(default_factory=_Error)


class Answer:
    """The answer to one message."""

    def __init__(self, response: http1.Answer) -> None:
        self._response = response
        self._status = response.status
        try:
            self._body: _Body | None = msgspec.json.decode(response.body, type=_Body)
        except msgspec.DecodeError:
            self._body = None

    @property
    def refuses_access(self) -> bool:
        """Google does not take the access token. A 401 with a code of FCM's is about something else."""
        return self._status == 401 and not self._code

    @property
    def names_another_project(self) -> bool:
        return self._code == SENDER_ID_MISMATCH

    @property
    def is_of_a_device(self) -> bool:
        """The answer is about the device's token, or about the key at Firebase that some devices need."""
        return self.names_another_project or self._code in THIRD_PARTY

    def receipt(self, now: int, *, proven: bool, known: bool) -> Receipt:
        """`proven`: FCM has taken a message of this shape for another device, so this one's form is good.
        `known`: it has taken any at all, so our account is good.
        """
        body = self._body
        if body is None or (self._status == 200 and not body.name):
            return self._unavailable(reason(self._status, "not in FCM's own form"), now)
        if self._status == 200:
            return Receipt(Outcome.ACCEPTED, provider_id=body.name)
        outcome = BY_CODE.get(self._code) or _BY_STATUS.get(self._status, Outcome.UNAVAILABLE)
        if outcome is Outcome.UNAVAILABLE:
            return self._unavailable(self._words(body.error), now)
        if known and self._code in THIRD_PARTY:
            words = self._words(body.error, body.error.message)
            return Receipt(Outcome.RETRY, words, retry_after=THIRD_PARTY_SECONDS)
        if self.names_another_project and not known:
            remedy = "is push.fcm.credentials a key of the app's own Firebase project?"
            return Receipt(Outcome.REFUSED, f"{self._words(body.error)}: {remedy}")
        if outcome is Outcome.REFUSED:
            return Receipt(outcome, self._words(body.error, body.error.message))
        if proven and self._code == "INVALID_ARGUMENT" and _names_the_token(body.error):
            outcome = Outcome.DEVICE_INVALID
        return Receipt(outcome, self._words(body.error))

    @property
    def _code(self) -> str:
        """FCM's own error code; empty where Google refused before FCM looked."""
        details = self._body.error.details if self._body else []
        return next((detail.error_code for detail in details if detail.error_code), "")

    def _words(self, error: _Error, message: str = "") -> str:
        fields = [violation.field for detail in error.details for violation in detail.field_violations]
        return reason(self._status, " ".join([self._code or error.status, *fields, message]))

    def _unavailable(self, words: str, now: int) -> Receipt:
        wait = retry_after(self._response.header("retry-after"), now)
        if wait is None and self._status == 429:
            wait = QUOTA_SECONDS
        return Receipt(Outcome.UNAVAILABLE, words, wait)


def _names_the_token(error: _Error) -> bool:
    """FCM says INVALID_ARGUMENT of a malformed token and of a bad message alike; only its words differ."""
    return "registration token" in error.message.lower()
