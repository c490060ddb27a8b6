"""Frames as bytes, read as they were written. tests/e2e/test_websocket_protocol.py has the wrong ones, on a
real socket.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.ops.serve.websocket import frames
from pns.ops.serve.websocket.frames import BINARY, PING, TEXT, Broken, Frame, next_frame
from tests.harness.raw import frame

MOST = 1 << 17


@given(st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"x" * size), st.booleans())
def test_a_frame_is_read_as_it_was_written(payload: bytes, fin: bool) -> None:
    sent = frame(BINARY, payload, fin=fin)
    found = next_frame(b"--" + sent + b"more", 2, most=MOST)
    assert found == Frame(BINARY, fin, payload, 2 + len(sent))


@given(st.binary(max_size=130))
def test_an_incomplete_frame_is_no_frame(payload: bytes) -> None:
    sent = frame(TEXT, payload)
    assert all(next_frame(sent[:size], 0, most=MOST) is None for size in range(len(sent)))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_broken_or_incomplete(data: bytes) -> None:
    with suppress(Broken):
        found = next_frame(data, 0, most=100)
        assert found is None or (found.end <= len(data) and len(found.payload) <= 125)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_the_servers_frames_have_the_shortest_length(size: int) -> None:
    """RFC 6455, section 5.2: the minimal number of bytes must be used."""
    made = frames.frame(TEXT, b"x" * size)
    assert made == frame(TEXT, b"x" * size, masked=False)


def test_a_length_over_the_limit_is_found_before_its_bytes_come() -> None:
    announced = frame(TEXT, b"x" * 200)[:4]
    assert next_frame(announced, 0, most=200) is None
    with pytest.raises(Broken):
        next_frame(announced, 0, most=199)
    assert next_frame(frame(PING, b"x" * 100), 0, most=0) is not None, (
        "control frames have a limit of their own"
    )


def test_fragments_make_a_message_of_their_first_frame() -> None:
    text = "né κ 𝄞".encode()
    cut = random.Random(1).randrange(1, len(text))
    fragments = frames.Fragments(Frame(TEXT, False, text[:cut], 0))
    fragments.add(Frame(0, True, text[cut:], 0))
    assert (fragments.size, fragments.message()) == (len(text), text.decode())
