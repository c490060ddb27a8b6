"""`notification_data` that was sent as a JSON object or array: PNS keeps the very text of it.

The body is cut, not read: a member of a notification is a slice of the bytes as they came, with their spaces,
escapes, numbers and order. Pure. body.py checks the types afterwards.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

_DATA = "notification_data"
_HOLDER = "notifications"

# Made once: looking the type up costs more than decoding a small body.
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])


def with_texts(body: bytes) -> bytes:
    """`body`, with each object or array of a `notification_data` replaced by the string of its text.

    Looks at an object or a list of objects, and at their `notifications`. Raises msgspec.DecodeError,
    UnicodeError or RecursionError for a body that is not JSON.
    """
    return bytes(_with_texts(Raw(body.lstrip(b" \t\r\n"))))


def _with_texts(value: Raw) -> Raw:
    match _first(value):
        case b"{":
            members = {name: _member(name, held) for name, held in _OBJECT.decode(value).items()}
            return Raw(msgspec.json.encode(members))
        case b"[":
            return Raw(msgspec.json.encode([_with_texts(held) for held in _ARRAY.decode(value)]))
        case _:
            return value


def _member(name: str, value: Raw) -> Raw:
    if name == _HOLDER:
        return _with_texts(value)
    if name == _DATA and _first(value) in (b"{", b"["):
        return Raw(msgspec.json.encode(bytes(value).decode()))
    return value


def _first(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])
