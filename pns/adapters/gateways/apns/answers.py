"""The answers of APNs: for each reason an outcome and, for an operator, a remedy.

The table follows Apple's "Handling notification responses from APNs". An answer outside the table, such as a
proxy's page, is judged by its status, and never costs a device its registration.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from pns.adapters.gateways import http
from pns.adapters.gateways.apns.connection import Answer, NoAnswer, NoConnection, NoHTTP2, NoTLS
from pns.contracts.gateway import Outcome, Receipt
from pns.model.push import Push

UNREGISTERED = "Unregistered"
BAD_TOKEN = "BadDeviceToken"
NOT_FOR_TOPIC = "DeviceTokenNotForTopic"
TOPIC_DISALLOWED = "TopicDisallowed"
OF_A_DEVICE = frozenset({BAD_TOKEN, NOT_FOR_TOPIC, TOPIC_DISALLOWED})
"""For the token or the topic of one device; for every device where the environment, the topic or the key is
not the app's."""
EXPIRED_TOKEN = "ExpiredProviderToken"
TOO_MANY_TOKENS = "TooManyProviderTokenUpdates"
ENDING = frozenset({"IdleTimeout", "Shutdown"})
"""This connection, or the server at its other end, is going away; another will do."""

TOO_SOON_SECONDS = 60.0
TOO_MANY_TOKENS_SECONDS = 1200.0
REGISTERED_AGAIN_SECONDS = 5.0

_WORD = re.compile(r"[A-Za-z]{1,64}")


class Meaning(NamedTuple):
    """The meaning of a reason. `remedy`: the operator's action; empty where the operator can do nothing."""

    outcome: Outcome
    remedy: str = ""


_GONE = Meaning(Outcome.DEVICE_INVALID)
_FAULT = Meaning(Outcome.FAILED)
_AWAY = Meaning(Outcome.UNAVAILABLE)
_AGAIN = Meaning(Outcome.RETRY)
_KEY = Meaning(
    Outcome.REFUSED,
    "check push.apns.key_file, push.apns.key_id and push.apns.team_id, and whether the key was revoked",
)
_KEY_ELSEWHERE = Meaning(Outcome.REFUSED, "the key in push.apns.key_file is made for the other environment")
_CERTIFICATE = Meaning(Outcome.REFUSED, "renew the certificate in push.apns.certificate_file")
_CERTIFICATE_ELSEWHERE = Meaning(
    Outcome.REFUSED, "the certificate in push.apns.certificate_file is made for the other environment"
)
_TOPIC = Meaning(
    Outcome.REFUSED, "set push.apns.topic to the bundle id of an app that the key or certificate is for"
)
_ELSEWHERE = Meaning(
    Outcome.REFUSED,
    "nothing was accepted here yet; is push.apns.url of production, and do apps that Xcode started register "
    'with "environment": "sandbox"?',
)

_NOT_APNS = Meaning(Outcome.REFUSED, "this is not as APNs answers; check push.apns.url")

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
    TOPIC_DISALLOWED: _TOPIC,
    "BadCertificate": _CERTIFICATE,
    "BadCertificateEnvironment": _CERTIFICATE_ELSEWHERE,
    "BadEnvironmentKeyIdInToken": _KEY_ELSEWHERE,
    EXPIRED_TOKEN: Meaning(Outcome.REFUSED, "set this machine's clock"),
    "Forbidden": Meaning(Outcome.REFUSED, "look at the team's account at Apple: it may not push"),
    "InvalidProviderToken": _KEY,
    "MissingProviderToken": Meaning(Outcome.REFUSED, "set push.apns.key_file or push.apns.certificate_file"),
    "UnrelatedKeyIdInToken": _KEY,
    "IdleTimeout": _AGAIN,
    "Shutdown": _AGAIN,
    "TooManyRequests": _AGAIN,
    TOO_MANY_TOKENS: Meaning(Outcome.UNAVAILABLE, "use this key in fewer servers, or make them one more key"),
    "InternalServerError": _AWAY,
    "ServiceUnavailable": _AWAY,
}


class _Body(msgspec.Struct):
    reason: str = ""
    timestamp: int | None = None


def _body(answer: Answer) -> _Body:
    """Empty for every text that is not APNs' form: the text of a proxy may repeat the request."""
    if not answer.body:
        return _Body()
    try:
        found = msgspec.json.decode(answer.body, type=_Body)
    except (msgspec.DecodeError, RecursionError):
        return _Body()
    return found if _WORD.fullmatch(found.reason) else _Body()


def reason(answer: Answer) -> str:
    """APNs' reason for a refusal. Empty for an accepted push, and for an answer from elsewhere."""
    return _body(answer).reason


def receipt(answer: Answer, push: Push, now: int, *, proven: bool) -> Receipt:
    """The receipt of an answer for `push`. `proven`: APNs accepted a push of the same topic and environment.

    Where the topic works for others, the token of this device belongs to another app. Otherwise
    anybody could hold up all pushes by a wrong token. Where nothing works, the devices are not dead.
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
    """The receipt of a push without an answer. A host with wrong TLS or HTTP is for an operator."""
    if isinstance(error, NoTLS | NoHTTP2):
        return Receipt(Outcome.REFUSED, f"no TLS ({error})" if isinstance(error, NoTLS) else str(error))
    if isinstance(error, NoConnection):
        return Receipt(Outcome.UNAVAILABLE, f"no connection ({error})")
    return Receipt(Outcome.RETRY, f"the connection was lost ({error})")


def trouble(answer: Answer, *, with_topic: bool) -> str:
    """The trouble, by the answer to a push to nobody: a sentence; empty if APNs minds nothing else."""
    cause, word = _cause(answer), reason(answer)
    if word == "MissingTopic" and not with_topic:
        cause = _FAULT
    if cause.outcome in (Outcome.DEVICE_INVALID, Outcome.FAILED):
        return ""
    remedy = cause.remedy or "wait, and ask again"
    return f"APNs answers {http.reason(answer.status, word)}: {remedy}."


def out_of_reach(error: Exception, url: str) -> str:
    """The trouble of a push to nobody that got no answer."""
    if isinstance(error, NoTLS):
        return f"There is no TLS with {url} ({error}): check push.apns.ca_file and certificate_file."
    if isinstance(error, NoHTTP2):
        return f"What answers at {url} does not speak HTTP/2: remove the proxy that stands between."
    why = str(error) or type(error).__name__
    return f"{url} does not answer ({why}): let PNS through to it, or check push.apns.url."


def _cause(answer: Answer) -> Meaning:
    word = reason(answer)
    return CAUSES.get(word) or _by_status(answer.status, word)


def _by_status(status: int, word: str) -> Meaning:
    if status >= 500:
        return _AWAY
    if status in (410, 429):
        return _AGAIN
    if status == 413 or (status == 400 and word):
        return _FAULT
    return _NOT_APNS


def _unregistered(timestamp: int | None, push: Push, words: str) -> Receipt:
    """APNs names the moment of death, in milliseconds: the device may have registered again since."""
    if timestamp is None or push.device.registered_at <= timestamp * 1000:
        return Receipt(Outcome.DEVICE_INVALID, words)
    if push.attempt == 1:
        return Receipt(Outcome.RETRY, f"{words} before it registered again", REGISTERED_AGAIN_SECONDS)
    return Receipt(Outcome.FAILED, f"{words} before it registered again")


def _retry_after(answer: Answer, word: str, now: int) -> float | None:
    if word == TOO_MANY_TOKENS:
        return TOO_MANY_TOKENS_SECONDS
    wanted = http.retry_after(answer.headers.get("retry-after", ""), now)
    if wanted is None and answer.status == 429:
        return TOO_SOON_SECONDS
    return wanted


def _provider_id(answer: Answer) -> str | None:
    """Apple's delivery log asks for `apns-unique-id`. Only the sandbox gives this id."""
    found = answer.headers
    return found.get("apns-unique-id") or found.get("apns-id")
