"""Moments in time: microseconds since 1970 in UTC inside PNS, RFC 3339 text outside.

Integers compare and store alike on every engine, and lose nothing on the way. No clock here: see clock.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""On the wire: an RFC 3339 date-time, which always has an offset."""

Timestamp = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A text made by `format_timestamp`."""

SECOND = 1_000_000
"""In microseconds, as every moment and every length of time inside PNS."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `moment`."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds: int) -> datetime:
    """The aware moment so many `microseconds` after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def parse_timestamp(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 `text`.

    Raises ValueError, with a message for the sender, when `text` is anything else or has no offset.
    """
    try:
        return microseconds(msgspec.convert(text, Moment))
    except (msgspec.ValidationError, OverflowError):
        raise ValueError("must be an RFC 3339 time such as 2026-11-21T19:31:00.123456Z") from None


def format_timestamp(moment: int) -> str:
    """`moment`, in microseconds since the epoch, as `2026-11-21T19:31:00.123456Z`: UTC, always six digits."""
    return (_NAIVE_EPOCH + timedelta(microseconds=moment)).isoformat(timespec="microseconds") + "Z"
