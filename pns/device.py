"""User ids and device ids: what may name a user, and what names a device.

A device is one distinct cookied session of a user; it may hold several connections.
"""

from __future__ import annotations

import unicodedata
from uuid import uuid4

MAX_USER_ID = 255

USER_ID_PATTERN = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
"""What `parse_user_id` takes, its length aside, as a regular expression of JSON Schema."""


def parse_user_id(value: object) -> str:
    """The user id that `value` names: a string as it is, an integer as its decimal digits.

    Raises ValueError, with a message for the sender, for anything else: a user id has 1 to 255 characters,
    no control characters and no lone surrogates, and is not `.` or `..`. Compared byte by byte, never folded.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**MAX_USER_ID:
            raise ValueError(f"must have at most {MAX_USER_ID} characters")
        return str(value)
    if not isinstance(value, str):
        raise ValueError("must be a string or an integer")
    if not 1 <= len(value) <= MAX_USER_ID:
        raise ValueError(f"must have 1 to {MAX_USER_ID} characters")
    if value in (".", ".."):
        raise ValueError("must not be '.' or '..'")
    if not value.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise ValueError("must not hold control characters or lone surrogates")
    return value


def new_device_id() -> str:
    """A device id that nobody can guess: 32 hexadecimal digits."""
    return uuid4().hex
