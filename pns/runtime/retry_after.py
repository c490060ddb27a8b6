"""`Retry-After` (RFC 9110 §10.2.3): a number of seconds, or a date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECOND = 1_000_000


def retry_after(text: str, now: int) -> float | None:
    """The seconds to wait from `now`, in microseconds since 1970; None for a text that says nothing."""
    text = text.strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.fromtimestamp(now / _SECOND, UTC)).total_seconds())
