"""Frames, to bytes and from bytes."""

from __future__ import annotations

import pytest

from pns.runtime.http2 import frames
from pns.runtime.http2.frames import Frame, Frames, Kind, Malformed


@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_frames_come_in_any_pieces(size: int) -> None:
    sent = [
        Frame(Kind.DATA, 1, 5, b"abc"),
        Frame(Kind.PING, 0, 0, b"12345678"),
        Frame(Kind.SETTINGS, 1, 0, b""),
    ]
    data = b"".join(frames.frame(Kind(f.kind), f.flags, f.stream, payload=f.payload) for f in sent)
    reader = Frames()
    found = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
    assert found == sent


@pytest.mark.parametrize(("length", "number"), [(0, 1), (10, 1), (16_384, 1), (16_385, 2), (40_000, 3)])
def test_a_long_head_takes_several_frames(length: int, number: int) -> None:
    found = [*Frames().feed(frames.head(1, b"x" * length, ends=True))]
    assert b"".join(frame.payload for frame in found) == b"x" * length
    assert [frame.kind for frame in found] == [Kind.HEADERS, *[Kind.CONTINUATION] * (number - 1)]
    assert [bool(frame.flags & frames.END_HEADERS) for frame in found] == [False] * (number - 1) + [True]
    assert [bool(frame.flags & frames.END_STREAM) for frame in found] == [True, *[False] * (number - 1)]


def test_a_number_has_four_bytes() -> None:
    assert Frame(Kind.WINDOW_UPDATE, 0, 0, b"\x80\0\0\x05").number == 5
    with pytest.raises(Malformed):
        _ = Frame(Kind.WINDOW_UPDATE, 0, 0, b"\0\0\0").number
