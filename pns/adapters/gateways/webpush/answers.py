"""The meaning of a push service's answer to a push (RFC 8030 §5, §7.3, §8.4; RFC 8292 §4.2). Pure.

The answer is foreign text. PNS keeps one line of the text, and no text that repeats a part of the endpoint:
anybody who knows the endpoint could push.
"""

from __future__ import annotations

import re

from pns.adapters.gateways.http import reason, retry_after
from pns.contracts.gateway import Outcome, Receipt
from pns.runtime.http1 import Answer
from pns.runtime.one_line import printable

OUTCOMES = {
    **dict.fromkeys((200, 201, 202, 204), Outcome.ACCEPTED),
    **dict.fromkeys((404, 410), Outcome.DEVICE_INVALID),
    **dict.fromkeys((401, 403), Outcome.REFUSED),
    **dict.fromkeys((408, 425, 429), Outcome.RETRY),  # of this one endpoint
}
_OUTCOMES_BY_CLASS = {4: Outcome.FAILED, 5: Outcome.UNAVAILABLE}
"""For all other statuses, by their first digit. All others may pass: a redirect too, never followed."""

_OTHER_KEY = re.compile(
    r"do not correspond to the credentials|VapidPkHashMismatch|key (?:mismatch|did not match)|another key",
    re.IGNORECASE,
)
"""The words of the push services of Chrome, Safari, Firefox, Edge, and others."""

_SHORTEST_PART = 8
"""Characters between two slashes of an endpoint."""
_SHORTEST_RUN = 16
"""Characters from anywhere in the path: the secret may be the end of a part."""
_MOST_LOCATION = 1000


def receipt(answer: Answer, *, endpoint: str, now: int) -> Receipt:
    """`provider_id` is the message's own URL (RFC 8030 §5.3). `now` in microseconds, for `Retry-After`."""
    otherwise = _OUTCOMES_BY_CLASS.get(answer.status // 100, Outcome.RETRY)
    outcome = OUTCOMES.get(answer.status, otherwise)
    if outcome is Outcome.ACCEPTED:
        return Receipt(outcome, str(answer.status), provider_id=_location(answer, endpoint))
    later = retry_after(answer.header("retry-after"), now)
    come_back = outcome in (Outcome.RETRY, Outcome.UNAVAILABLE)
    said = reason(answer.status, _words(answer, endpoint))
    return Receipt(outcome, said, retry_after=later if come_back else None)


def names_another_key(answer: Answer) -> bool:
    """Whether the service refuses a push because its subscription was made with another key than ours."""
    return answer.status // 100 == 4 and bool(_OTHER_KEY.search(answer.body.decode(errors="replace")))


def _words(answer: Answer, endpoint: str) -> str:
    said = printable(" ".join(answer.body.decode(errors="replace").split()))
    return "" if _repeats(said, endpoint) else said


def _location(answer: Answer, endpoint: str) -> str | None:
    url = answer.header("location")
    fit = url.isascii() and url.isprintable() and 0 < len(url) <= _MOST_LOCATION
    return url if fit and not _repeats(url, endpoint) else None


def _repeats(text: str, endpoint: str) -> bool:
    """Whether `text` has a part of the endpoint's path or query."""
    path = "/".join(endpoint.split("/")[3:])
    parts = (part for part in re.split(r"[/?&=]", path) if len(part) >= _SHORTEST_PART)
    runs = (text[at : at + _SHORTEST_RUN] for at in range(len(text) - _SHORTEST_RUN + 1))
    return any(part in text for part in parts) or any(run in path for run in runs)
