"""What a push service's answer means for a push (RFC 8030 §5, §7.3, §8.4; RFC 8292 §4.2). Pure.

The answer is foreign text: of its words one line is kept, and none if they repeat a part of the endpoint, by
which anybody could push.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx2 as httpx

from pns.gateway import Outcome, Receipt
from pns.gateways.http import reason, retry_after
from pns.gateways.public_line import Answer
from pns.printable import printable

_OUTCOMES = {
    **dict.fromkeys((200, 201, 202, 204), Outcome.ACCEPTED),
    **dict.fromkeys((404, 410), Outcome.DEVICE_INVALID),
    **dict.fromkeys((401, 403), Outcome.REFUSED),
    **dict.fromkeys((408, 425, 429), Outcome.RETRY),  # of this one endpoint
}
_OUTCOMES_BY_CLASS = {4: Outcome.FAILED, 5: Outcome.UNAVAILABLE}
"""For all other statuses, by their first digit. What is left may pass: a redirect too, never followed."""

_SHORTEST_SECRET = 8
_MOST_LOCATION = 1000


def receipt(answer: Answer, *, endpoint: str, now: int) -> Receipt:
    """`provider_id` is the message's own URL (RFC 8030 §5.3). `now` in microseconds, for `Retry-After`."""
    otherwise = _OUTCOMES_BY_CLASS.get(answer.status // 100, Outcome.RETRY)
    outcome = _OUTCOMES.get(answer.status, otherwise)
    secrets = [part for part in re.split(r"[/?&=]", endpoint)[3:] if len(part) >= _SHORTEST_SECRET]
    if outcome is Outcome.ACCEPTED:
        return Receipt(outcome, str(answer.status), provider_id=_location(answer, secrets))
    later = retry_after(httpx.Response(answer.status, headers=answer.headers), now)
    come_back = outcome in (Outcome.RETRY, Outcome.UNAVAILABLE)
    return Receipt(
        outcome, reason(answer.status, _words(answer, secrets)), retry_after=later if come_back else None
    )


def _words(answer: Answer, secrets: Iterable[str]) -> str:
    said = printable(" ".join(answer.body.decode(errors="replace").split()))
    return "" if any(secret in said for secret in secrets) else said


def _location(answer: Answer, secrets: Iterable[str]) -> str | None:
    url = answer.headers.get("location", "")
    fit = url.isascii() and url.isprintable() and 0 < len(url) <= _MOST_LOCATION
    return url if fit and not any(secret in url for secret in secrets) else None
