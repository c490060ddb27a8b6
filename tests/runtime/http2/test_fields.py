"""Fields, to bytes and from bytes, beside a HPACK that nobody here wrote."""

from __future__ import annotations

from contextlib import suppress

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.runtime.http2.fields import STATIC, Field, block, read
from pns.runtime.http2.frames import Malformed

NAMES = st.sampled_from([name for name, _ in STATIC] + ["apns-id", "x", "retry-after"])
FIELDS = st.lists(
    st.tuples(NAMES, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
    | st.sampled_from(STATIC),
    max_size=8,
)


@given(FIELDS)
def test_what_is_written_is_read_by_another(fields: list[Field]) -> None:
    assert [(str(name), str(value)) for name, value in hpack.Decoder().decode(block(fields))] == fields
    assert read(block(fields)) == fields


@given(st.lists(FIELDS, max_size=4), st.booleans())
def test_what_another_writes_without_a_table_is_read(blocks: list[list[Field]], huffman: bool) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    for fields in blocks:
        assert read(encoder.encode(fields, huffman=huffman)) == fields


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x80", b"\xbe", b"\xff\x80\x01", b"\x0f\x80", b"\x0f\xff\xff\xff\xff\xff\x00", b"\x3f\xe1\x1f"),
        *(b"\x21", b"\x00", b"\x00\x01", b"\x00\x01a", b"\x00\x01a\x05b", b"\x00\x81\xff\x00", b"\x7e\x01a"),
    ],
)
def test_a_broken_block_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_no_text_beyond_ascii_is_written() -> None:
    with pytest.raises(UnicodeError):
        block([("x", "ä")])
