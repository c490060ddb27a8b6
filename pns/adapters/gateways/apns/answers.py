"""What APNs says and what follows from it: for each of its reasons an outcome and, for an operator, a remedy.

The table is that of Apple's "Handling notification responses from APNs". What is not in it, such as a
proxy's page, is judged by its status, and never costs a device its registration.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx2 as httpx
import msgspec

from pns.adapters.gateways import http
from pns.adapters.gateways.apns.connection import Answer, NoAnswer, NoConnection, NoHTTP2, NoTLS
from pns.contracts.gateway import Outcome, Receipt
from pns.model.push import Push

UNREGISTERED = "Unregistered"
BAD_TOKEN = "BadDeviceToken"
NOT_FOR_TOPIC = "DeviceTokenNotForTopic"
OF_A_DEVICE = frozenset({BAD_TOKEN, NOT_FOR_TOPIC})
"""Said of one device's token; of every one where the environment or the topic is not that of the app."""
EXPIRED_TOKEN = "ExpiredProviderToken"
TOO_MANY_TOKENS = "TooManyProviderTokenUpdates"
ENDING = frozenset({"IdleTimeout", "Shutdown"})
"""This connection, or the server at its other end, is going away; another will do."""

TOO_SOON_SECONDS = 60.0
TOO_MANY_TOKENS_SECONDS = 1200.0
REGISTERED_AGAIN_SECONDS = 5.0

_WORD = re.compile(r"[A-Za-z]{1,64}")


class Cause(NamedTuple):
    """What a reason means. `remedy`: what an operator does about it; empty where it is nothing of theirs."""

    outcome: Outcome
    remedy: str = ""


_GONE = Cause(Outcome.DEVICE_INVALID)
_FAULT = Cause(Outcome.FAILED)
_AWAY = Cause(Outcome.UNAVAILABLE)
_AGAIN = Cause(Outcome.RETRY)
_KEY = Cause(
    Outcome.REFUSED,
    "check push.apns.key_file, push.apns.key_id and push.apns.team_id, and whether the key was revoked",
)
_KEY_ELSEWHERE = Cause(Outcome.REFUSED, "the key in push.apns.key_file is made for the other environment")
_CERTIFICATE = Cause(Outcome.REFUSED, "renew the certificate in push.apns.certificate_file")
_CERTIFICATE_ELSEWHERE = Cause(
    Outcome.REFUSED, "the certificate in push.apns.certificate_file is made for the other environment"
)
_TOPIC = Cause(
    Outcome.REFUSED, "set push.apns.topic to the bundle id of an app that the key or certificate is for"
)
_ELSEWHERE = Cause(
    Outcome.REFUSED,
    "nothing was accepted here yet; is push.apns.url of production, and do apps that Xcode started register "
    'with "environment": "sandbox"?',
)

_NOT_APNS = Cause(Outcome.REFUSED, "this is not as APNs answers; check push.apns.url")

CAUSES = {
    BAD_TOKEN: _GONE,
    "ExpiredToken": _GONE,
    UNREGISTERED: _GONE,
    "BadCollapseId": _FAULT,
    "BadExpirationDate": _FAULT,
    "BadMessageId": _FAULT,
    "BadPath": _FAULT,
    "BadPriority": _FAULT,
    "DuplicateHeaders": _FAULT,
    "InvalidPushType": _FAULT,
    "MethodNotAllowed": _FAULT,
    "MissingDeviceToken": _FAULT,
    "PayloadEmpty": _FAULT,
    "PayloadTooLarge": _FAULT,
    "BadTopic": _TOPIC,
    NOT_FOR_TOPIC: _TOPIC,
    "MissingTopic": _TOPIC,
    "TopicDisallowed": _TOPIC,
    "BadCertificate": _CERTIFICATE,
    "BadCertificateEnvironment": _CERTIFICATE_ELSEWHERE,
    "BadEnvironmentKeyIdInToken": _KEY_ELSEWHERE,
    EXPIRED_TOKEN: Cause(Outcome.REFUSED, "set this machine's clock"),
    "Forbidden": Cause(Outcome.REFUSED, "look at the team's account at Apple: it may not push"),
    "InvalidProviderToken": _KEY,
    "MissingProviderToken": Cause(Outcome.REFUSED, "set push.apns.key_file or push.apns.certificate_file"),
    "UnrelatedKeyIdInToken": _KEY,
    "IdleTimeout": _AGAIN,
    "Shutdown": _AGAIN,
    "TooManyRequests": _AGAIN,
    TOO_MANY_TOKENS: Cause(Outcome.UNAVAILABLE, "use this key in fewer servers, or make them one more key"),
    "InternalServerError": _AWAY,
    "ServiceUnavailable": _AWAY,
}


class _Body(msgspec.Struct):
    reason: str = ""
    timestamp: int | None = None


def _body(answer: Answer) -> _Body:
    """Empty for everything that APNs would not say; a proxy's words may repeat the request."""
    try:
        found = msgspec.json.decode(answer.body, type=_Body)
    except (msgspec.DecodeError, RecursionError):
        return _Body()
    return found if _WORD.fullmatch(found.reason) else _Body()


def reason(answer: Answer) -> str:
    """APNs' word for why not; empty when it took the push, and when this is no answer of APNs."""
    return _body(answer).reason


def receipt(answer: Answer, push: Push, now: int, *, proven: bool) -> Receipt:
    """What an answer means for `push`. `proven`: something was accepted under its topic and environment.

    Under a topic that works for others, it is this device whose token is of another app: otherwise anybody
    could hold up all pushes by registering such a one. And where nothing works, the devices are not dead.
    """
    status, body = answer.status, _body(answer)
    words = http.reason(status, body.reason)
    if status == 200:
        return Receipt(Outcome.ACCEPTED, provider_id=_provider_id(answer))
    if body.reason == UNREGISTERED:
        return _unregistered(body.timestamp, push, words)
    cause = _cause(answer)
    if cause is _TOPIC and proven:
        cause = _FAULT
    if body.reason == BAD_TOKEN and not proven:
        cause, words = _ELSEWHERE, f"{words}: {_ELSEWHERE.remedy}"
    return Receipt(cause.outcome, words, _retry_after(answer, body.reason, now))


def no_answer(error: NoAnswer) -> Receipt:
    """What it means that there is none. A host that is there and not as it should be is for an operator."""
    if isinstance(error, NoTLS | NoHTTP2):
        return Receipt(Outcome.REFUSED, f"no TLS ({error})" if isinstance(error, NoTLS) else str(error))
    if isinstance(error, NoConnection):
        return Receipt(Outcome.UNAVAILABLE, f"no connection ({error})")
    return Receipt(Outcome.RETRY, f"the connection was lost ({error})")


def trouble(answer: Answer, *, with_topic: bool) -> str:
    """What is wrong, by the answer to a push to nobody: a sentence; empty if APNs minds nothing else."""
    cause, word = _cause(answer), reason(answer)
    if word == "MissingTopic" and not with_topic:
        cause = _FAULT
    if cause.outcome in (Outcome.DEVICE_INVALID, Outcome.FAILED):
        return ""
    remedy = cause.remedy or "wait, and ask again"
    return f"APNs answers {http.reason(answer.status, word)}: {remedy}."


def out_of_reach(error: Exception, url: str) -> str:
    """The same where there was no answer."""
    if isinstance(error, NoTLS):
        return f"There is no TLS with {url} ({error}): check push.apns.ca_file and certificate_file."
    if isinstance(error, NoHTTP2):
        return f"What answers at {url} does not speak HTTP/2: remove the proxy that stands between."
    why = str(error) or type(error).__name__
    return f"{url} does not answer ({why}): let PNS through to it, or check push.apns.url."


def _cause(answer: Answer) -> Cause:
    word = reason(answer)
    return CAUSES.get(word) or _by_status(answer.status, word)


def _by_status(status: int, word: str) -> Cause:
    if status >= 500:
        return _AWAY
    if status in (410, 429):
        return _AGAIN
    if status == 413 or (status == 400 and word):
        return _FAULT
    return _NOT_APNS


def _unregistered(timestamp: int | None, push: Push, words: str) -> Receipt:
    """APNs names the moment since when, in milliseconds: the device may have registered again after it."""
    if timestamp is None or push.device.registered_at <= timestamp * 1000:
        return Receipt(Outcome.DEVICE_INVALID, words)
    if push.attempt == 1:
        return Receipt(Outcome.RETRY, f"{words} before it registered again", REGISTERED_AGAIN_SECONDS)
    return Receipt(Outcome.FAILED, f"{words} before it registered again")


def _retry_after(answer: Answer, word: str, now: int) -> float | None:
    if word == TOO_MANY_TOKENS:
        return TOO_MANY_TOKENS_SECONDS
    wanted = http.retry_after(httpx.Response(answer.status, headers=answer.headers), now)
    if wanted is None and answer.status == 429:
        return TOO_SOON_SECONDS
    return wanted


def _provider_id(answer: Answer) -> str | None:
    """`apns-unique-id` is what Apple's delivery log asks for; only the sandbox gives it."""
    found = answer.headers
    return found.get("apns-unique-id") or found.get("apns-id")
