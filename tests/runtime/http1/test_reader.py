"""What is an answer, where it ends, and what is none: the bytes of RFC 9112, and bytes that are not."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pns.runtime.http1.reader import MOST_FRAMING, MOST_HEAD, Answer, ByHead, Reader
from pns.runtime.http1.trouble import Broken

MOST = 100
OK = b"HTTP/1.1 200 OK\r\n"


def read(data: bytes, *, step: int = 0, most: int = MOST) -> tuple[Answer | None, bool]:
    """The answer in `data`, which comes `step` bytes at a time, and whether the connection may be kept."""
    reader = Reader()
    reader.begin(most)
    answer = None
    for start in range(0, len(data), step or len(data)):
        answer = reader.feed(data[start : start + (step or len(data))])
        if answer is not None:
            break
    return answer, reader.reusable


GOOD = {
    "a length": (OK + b"content-length: 2\r\n\r\nhi", 200, b"hi", True),
    "no body": (OK + b"content-length: 0\r\n\r\n", 200, b"", True),
    "chunks": (OK + b"transfer-encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", 200, b"hi", True),
    "trailers": (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n", 200, b"hi", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "304, whose length is another answer's": (
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 20\r\n\r\n",
        304,
        b"",
        True,
    ),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + OK
        + b"content-length: 2\r\n\r\nhi",
        200,
        b"hi",
        True,
    ),
    "the last one": (OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi", 200, b"hi", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, b"hi", False),
    "HTTP/1.0, kept": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
        200,
        b"hi",
        True,
    ),
    "no reason": (b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi", 200, b"hi", True),
}


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("name", GOOD)
def test_an_answer(name: str, step: int) -> None:
    data, status, body, kept = GOOD[name]
    answer, reusable = read(data, step=step)
    assert answer is not None
    assert (answer.status, answer.body, answer.cut) == (status, body, False)
    assert reusable is kept


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("name", GOOD)
def test_a_part_of_an_answer_is_none(name: str, step: int) -> None:
    data = GOOD[name][0]
    for end in range(1, len(data)):
        answer, _ = read(data[:end], step=step)
        assert answer is None or end > len(data) - 2, end


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"content-length: +2\r\n\r\nhi",
        OK + b"content-length: -2\r\n\r\nhi",
        OK + b"content-length: 2 2\r\n\r\nhi",
        OK + b"content-length : 2\r\n\r\nhi",
        OK + b" folded: 2\r\n\r\nhi",
        OK + b"a: b\r\n folded\r\n\r\nhi",
        OK + b"a: \0\r\n\r\nhi",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
    ],
)
def test_nonsense(data: bytes, step: int) -> None:
    with pytest.raises(Broken):
        read(data + b"\r\n" * 3, step=step)


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"x", b"HTTP/1.1 5"])
@pytest.mark.parametrize("head", [b"content-length: 2\r\n", b"connection: close\r\ncontent-length: 2\r\n"])
def test_bytes_behind_an_answer_end_the_connection_and_not_the_answer(head: bytes, more: bytes) -> None:
    answer, reusable = read(OK + head + b"\r\nhi" + more)
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"hi")
    assert not reusable


def test_the_end_of_a_connection_is_the_end_of_a_body_without_a_length() -> None:
    reader = Reader()
    reader.begin(MOST)
    assert reader.feed(OK + b"\r\nhi") is None
    answer = reader.end()
    assert answer is not None
    assert (answer.body, reader.reusable) == (b"hi", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nx: y\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"content-length: 3\r\n\r\nhi",
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\nhi",
    ],
)
def test_any_other_end_is_too_early(data: bytes) -> None:
    reader = Reader()
    reader.begin(MOST)
    assert not data or reader.feed(data) is None
    assert reader.end() is None


@pytest.mark.parametrize("step", [0, 7])
def test_a_long_body_is_cut(step: int) -> None:
    for framed in (b"content-length: 300\r\n\r\n" + b"a" * 300, b"\r\n" + b"a" * 300):
        answer, reusable = read(OK + framed, step=step)
        assert answer is not None
        assert (answer.body, answer.cut, reusable) == (b"a" * MOST, True, False)


# ── answers that their head decides ───────────────────────────────────────────────────────────────────

NO = b"HTTP/1.1 401 No\r\n"


def by_head(status: bytes = NO) -> Reader:
    """A reader of an answer that its head decides, unless the status is 200."""
    reader = Reader()
    reader.begin(MOST, by_head=ByHead((200,)))
    reader.feed(status)
    return reader


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 9\r\n\r\nhi",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n",
        b"transfer-encoding: gzip\r\n\r\nhi",
    ],
)
def test_a_head_decides_whatever_follows(body: bytes) -> None:
    reader = by_head()
    answer = reader.feed(body) or reader.so_far()
    assert answer is not None
    assert (answer.status, answer.body, answer.cut, reader.reusable) == (401, b"hi", True, False)
    reader = by_head(OK)
    try:
        assert (reader.feed(body), reader.so_far(), reader.end()) == (None, None, None)
    except Broken:
        assert b"zz" in body


def test_a_body_that_is_there_is_the_answers() -> None:
    reader = by_head()
    answer = reader.feed(b"content-length: 2\r\n\r\nhi")
    assert answer is not None
    assert (answer.body, answer.cut, reader.reusable) == (b"hi", False, True)
    reader = by_head()
    assert reader.feed(b"\r\nhi") is None
    answer = reader.end()
    assert answer is not None
    assert (answer.body, answer.cut, reader.reusable) == (b"hi", False, False)


@pytest.mark.parametrize(
    "head",
    [b"", b"x: y\r\n", b"content-length: 2\r\ncontent-length: 3\r\n\r\n", b"x\r\n\r\n", b"a: \0\r\n\r\n"],
)
def test_a_head_that_is_not_whole_decides_nothing(head: bytes) -> None:
    reader = by_head()
    try:
        assert reader.feed(head) is None
    except Broken:
        assert head.endswith(b"\r\n\r\n")
    assert (reader.is_decided, reader.so_far(), reader.end()) == (False, None, None)


def test_an_interim_answer_decides_nothing() -> None:
    reader = by_head(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    assert (reader.is_decided, reader.so_far()) == (False, None)
    reader.feed(NO + b"content-length: 9\r\n\r\n")
    assert reader.is_decided


def feed_for_ever(reader: Reader, data: bytes) -> None:
    """More bytes than any answer has around its body."""
    for _ in range((MOST_HEAD + MOST * MOST_FRAMING) // len(data) + 1):
        assert reader.feed(data) is None


@pytest.mark.parametrize("endless", [b"x-drip: " + b"a" * 1000, b"x: y\r\n"])
def test_a_head_without_an_end(endless: bytes) -> None:
    reader = Reader()
    reader.begin(MOST)
    reader.feed(OK)
    with pytest.raises(Broken):
        feed_for_ever(reader, endless)


def test_interim_answers_without_an_end() -> None:
    reader = Reader()
    reader.begin(MOST)
    with pytest.raises(Broken):
        feed_for_ever(reader, b"HTTP/1.1 102 Processing\r\n\r\n")


def test_a_chunk_that_is_all_frame() -> None:
    reader = Reader()
    reader.begin(MOST)
    reader.feed(OK + b"transfer-encoding: chunked\r\n\r\n1;")
    with pytest.raises(Broken):
        feed_for_ever(reader, b"x" * 500)


def test_a_connection_carries_one_answer_after_the_other() -> None:
    reader = Reader()
    for name in ("a length", "chunks", "204", "after interim answers", "a length"):
        data, status, body, _ = GOOD[name]
        reader.begin(MOST)
        answer = reader.feed(data)
        assert answer is not None
        assert (answer.status, answer.body) == (status, body)
        assert reader.reusable


def test_a_tunnel_has_no_body() -> None:
    reader = Reader()
    reader.begin(0, tunnel=True)
    answer = reader.feed(b"HTTP/1.1 200 Connection established\r\n\r\n")
    assert answer is not None
    assert reader.is_tunnel
    reader = Reader()
    reader.begin(0, tunnel=True)
    answer = reader.feed(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
    assert answer is not None
    assert (answer.status, reader.is_tunnel) == (407, False)


def test_a_repeated_header_is_one_list() -> None:
    answer, _ = read(OK + b"Via: a\r\nvia: b\r\ncontent-length: 0\r\n\r\n")
    assert answer is not None
    assert (answer.header("via"), answer.header("age")) == ("a, b", "")


# ── beside another reader ─────────────────────────────────────────────────────────────────────────────


def by_h11(data: bytes) -> tuple[int, bytes] | None:
    """The answer that h11 finds in `data`, after which the connection ends."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 500 x\r\n",
        b"content-length: 2\r\n",
        b"Content-Length: 02\r\n",
        b"content-length: 2, 2\r\n",
        b"content-length:2 \r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: Chunked\r\n",
        b"transfer-encoding: identity\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"connection: close\r\n",
        b"x: y\r\n",
        b" z\r\n",
        b"\r\n",
        b"\n",
        b"hi",
        b"2\r\nhi\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"2;a=b\r\n",
        b"\0",
        b"\xff",
    ]
)


@example(b"HTTP/1.1 200 OK\r\n\r\n" + 6 * b"HTTP/1.1 200 OK\r\n", 0)
@given(st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=60), st.integers(0, 3))
def test_two_readers_never_read_two_answers(data: bytes, step: int) -> None:
    """Refusing more than the other is fine. Reading something else is how answers are smuggled."""
    reader = Reader()
    reader.begin(MOST)
    answer = None
    try:
        for start in range(0, len(data), step or max(1, len(data))):
            answer = reader.feed(data[start : start + (step or len(data))])
            if answer is not None:
                break
        else:
            answer = reader.end()
    except Broken:
        return
    other = by_h11(data)
    if answer is not None and other is not None:
        status, body = other
        assert (answer.status, answer.body, answer.cut) == (status, body[:MOST], len(body) > MOST)
