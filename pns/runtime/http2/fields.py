"""The fields of a question and of an answer: HPACK without a table of its own (RFC 7541 §6).

PNS turns the table off in both directions. So a block means the same whatever came before, and nobody has to
keep the blocks in order. Names and fields of the static table go as numbers. Values go uncompressed, for
compressing costs more time than the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman

from pns.runtime.http2.frames import Malformed

Field = tuple[str, str]

STATIC: tuple[Field, ...] = (
(":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""),
    ("host", ""), ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
)  # fmt: skip
"""The static table (RFC 7541, appendix A). The first place is 1."""

_PLACES = {name: place for place, (name, _) in reversed([*enumerate(STATIC, 1)])}
_WHOLE = {field: place for place, field in enumerate(STATIC, 1)}


def block(fields: Iterable[Field]) -> bytes:
    """The block of `fields`, in their order. Names are in lower case. Texts are ASCII; else UnicodeError."""
    return b"".join([_field(name, value) for name, value in fields])


@lru_cache(maxsize=512)
def _name(name: str) -> bytes:
    place = _PLACES.get(name)
    return b"\x00" + _text(name) if place is None else _number(place, 4)


@lru_cache(maxsize=256)
def _field(name: str, value: str) -> bytes:
    """Most fields of a question are those of the question before."""
    whole = _WHOLE.get((name, value))
    return _name(name) + _text(value) if whole is None else bytes([0x80 | whole])


def _text(text: str) -> bytes:
    data = text.encode("ascii")
    return (bytes([len(data)]) if len(data) < 127 else _number(len(data), 7)) + data


def _number(value: int, bits: int) -> bytes:
    """A number with a prefix of `bits`, whose other bits are 0 (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    parts, value = [most], value - most
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def read(block: bytes) -> list[Field]:
    """The fields of an answer's block, in their order. Raises Malformed."""
    found, at = list[Field](), 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:
                place, at = _read_number(block, at, 7)
                found.append(_static(place))
            elif first & 0xE0 == 0x20:  # the size of the table, which is off
                size, at = _read_number(block, at, 5)
                if size:
                    raise Malformed("a table that was turned off")
            else:  # whether or not the field is for the table
                place, at = _read_number(block, at, 6 if first & 0x40 else 4)
                name, at = (_static(place)[0], at) if place else _read_text(block, at)
                value, at = _read_text(block, at)
                found.append((name, value))
    except IndexError:
        raise Malformed("a field that is cut off") from None
    return found


def _static(place: int) -> Field:
    if not 1 <= place <= len(STATIC):
        raise Malformed("a field of a table that was turned off")
    return STATIC[place - 1]


def _read_number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """The number at a place, and the place behind the number."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        byte = block[at]
        at += 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Malformed("a number without an end")


def _read_text(block: bytes, at: int) -> tuple[str, int]:
    compressed = block[at] & 0x80
    length, at = _read_number(block, at, 7)
    end = at + length
    if end > len(block):
        raise Malformed("a field that is cut off")
    data = block[at:end]
    return (_expanded(data) if compressed else data.decode("latin-1")), end


@lru_cache(maxsize=256)
def _expanded(data: bytes) -> str:
    """Most values come again and again."""
    try:
        return decode_huffman(data).decode("latin-1")
    except HPACKError:
        raise Malformed("a text that cannot be expanded") from None
