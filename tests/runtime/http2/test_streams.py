"""The questions on a connection, beside a server that nobody here wrote; and what no server may send."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from pns.runtime.http2 import frames
from pns.runtime.http2.frames import Kind, Setting
from pns.runtime.http2.streams import MOST_BODY, Answer, Lost, Question, Streams

FIELDS = [(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")]


class Asked:
    """A question, and what came of it."""

    def __init__(self, content: bytes = b"", name: str = "1") -> None:
        self.outcomes: list[Answer | Exception] = []
        self.question = Question([*FIELDS, ("name", name)], content, self.outcomes.append)

    @property
    def answer(self) -> Answer:
        (outcome,) = self.outcomes
        assert isinstance(outcome, Answer)
        return outcome

    @property
    def is_lost(self) -> bool:
        (outcome,) = self.outcomes
        return isinstance(outcome, Lost)


class Server:
    """h2 at the other end."""

    def __init__(self, **settings: int) -> None:
        self.streams = Streams()
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({SettingCodes[name]: value for name, value in settings.items()})
        self.bodies: dict[int, bytearray] = {}
        self.ended: list[int] = []
        self.most = 0
        self.streams.begin()

    def exchange(self, *, read: bool = True) -> None:
        """Until nobody has anything to say. `read`: the server widens its windows."""
        while True:
            sent, back = self.streams.take(), self.h2.data_to_send()
            if not sent and not back:
                return
            for event in self.h2.receive_data(sent):
                self._take(event, read=read)
            self.streams.receive(back)

    def _take(self, event: Event, *, read: bool) -> None:
        if isinstance(event, RequestReceived):
            self.bodies[event.stream_id] = bytearray()
            self.most = max(self.most, len(self.bodies))
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
            if read:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.ended.append(event.stream_id)

    def answer(self, stream: int, status: int = 200, body: bytes = b"") -> None:
        self.h2.send_headers(stream, [(":status", str(status)), ("x", "y")], end_stream=not body)
        for at in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[at : at + 16_000], end_stream=at + 16_000 >= len(body))

    def ask(self, *asked: Asked) -> None:
        for each in asked:
            self.streams.ask(each.question)


def test_an_answer_is_read_in_full() -> None:
    server, asked = Server(), Asked(b"hello")
    server.ask(asked)
    server.exchange()
    assert server.bodies == {1: b"hello"}
    server.h2.send_headers(1, [(":status", "103"), ("link", "x")])
    server.answer(1, 410, b"gone")
    server.exchange()
    assert asked.answer == Answer(410, {"x": "y"}, b"gone")
    assert server.streams.is_idle


def test_of_a_long_body_the_beginning_is_kept_and_the_connection_lives() -> None:
    server, first, second = Server(), Asked(), Asked()
    server.ask(first, second)
    server.exchange()
    server.answer(1, body=b"a" * 200_000)
    server.exchange()
    assert first.answer.body == b"a" * MOST_BODY
    server.answer(3)
    server.exchange()
    assert second.answer.status == 200


@pytest.mark.parametrize("most", [1, 3, 100])
def test_no_more_streams_than_the_server_allows(most: int) -> None:
    server = Server(MAX_CONCURRENT_STREAMS=most)
    many = [Asked(b"x") for _ in range(10)]
    server.ask(*many)
    for _ in range(len(many)):
        server.exchange()
        for stream in [stream for stream in server.ended if stream in server.bodies]:
            server.answer(stream)
            del server.bodies[stream]
            server.ended.remove(stream)
    server.exchange()
    assert all(asked.answer.status == 200 for asked in many)
    assert server.most == min(most, 10)


def test_before_the_servers_settings_one_stream_is_enough() -> None:
    streams, many = Streams(), [Asked() for _ in range(3)]
    for asked in many:
        streams.ask(asked.question)
    assert [asked.question.went for asked in many] == [True, False, False]


@pytest.mark.parametrize("window", [0, 1, 7, 65_535])
def test_a_body_waits_for_the_servers_windows(window: int) -> None:
    server = Server(INITIAL_WINDOW_SIZE=window)
    server.exchange()
    bodies = [random.Random(number).randbytes(5_000) for number in range(40)]
    many = [Asked(body) for body in bodies]
    server.ask(*many)
    server.exchange(read=False)
    assert sum(map(len, server.bodies.values())) <= 65_535
    if window < 5_000:
        assert {len(body) for body in server.bodies.values()} == {window}
    server.h2.increment_flow_control_window(1_000_000)
    for stream in server.bodies:
        server.h2.increment_flow_control_window(6_000, stream)
    server.exchange()
    assert [bytes(body) for body in server.bodies.values()] == bodies


def test_an_answer_before_all_of_the_body_was_read() -> None:
    server = Server(INITIAL_WINDOW_SIZE=10)
    server.exchange()
    asked, next_one = Asked(b"x" * 50), Asked(b"y")
    server.ask(asked)
    server.exchange(read=False)
    server.answer(1, 413)
    server.exchange(read=False)
    assert asked.answer.status == 413
    server.ask(next_one)
    server.exchange()
    assert server.bodies[3] == b"y"


def test_goodbye_answers_what_was_taken_and_loses_the_rest() -> None:
    server = Server(MAX_CONCURRENT_STREAMS=3)
    server.exchange()
    many = [Asked() for _ in range(5)]
    server.ask(*many)
    server.exchange()
    server.streams.receive(frames.frame(Kind.GOAWAY, 0, 0, payload=b"\0\0\0\x03" + b"\0\0\0\0" + b"text"))
    assert [asked.outcomes == [] for asked in many] == [True, True, False, False, False]
    assert all(asked.is_lost for asked in many[2:])
    assert [asked.question.went for asked in many] == [True, True, True, False, False]
    with pytest.raises(Lost):
        server.ask(Asked())
    server.answer(1)
    server.answer(3)
    server.exchange()
    assert [asked.answer.status for asked in many[:2]] == [200, 200]
    assert server.streams.is_idle
    assert server.streams.error is None


def test_a_stream_that_is_reset_ends_the_connection() -> None:
    server, many = Server(), [Asked(), Asked()]
    server.ask(*many)
    server.exchange()
    server.h2.reset_stream(3)
    server.exchange()
    assert all(asked.is_lost for asked in many)


def test_a_question_that_nobody_waits_for_any_more() -> None:
    server, gone, patient, waiting = Server(), Asked(), Asked(), Asked()
    server.exchange()
    server.ask(gone, patient)
    server.exchange()
    server.streams.forget(gone.question)
    with pytest.raises(Lost):
        server.ask(waiting)
    server.answer(1)
    server.answer(3)
    server.exchange()
    assert gone.outcomes == []
    assert patient.answer.status == 200


def test_settings_and_pings_are_answered() -> None:
    server = Server()
    server.h2.ping(b"12345678")
    server.exchange()
    server.streams.receive(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 5}))
    assert frames.frame(Kind.SETTINGS, frames.ACK, 0) in server.streams.take()


SETTLED = frames.settings({})
OK = frames.head(1, b"\x88", ends=False)
NONSENSE = {
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a frame that is too large": b"\0\x40\x01" + bytes([Kind.DATA, 0]) + b"\0\0\0\x01",
    "settings of the wrong length": frames.frame(Kind.SETTINGS, 0, 0, payload=b"12345"),
    "a window that is too large": frames.with_number(Kind.WINDOW_UPDATE, 0, 2**31 - 1),
    "a stream's window that is too large": frames.with_number(Kind.WINDOW_UPDATE, 1, 2**31 - 1),
    "a first window that is too large": frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}),
    "a promise": frames.frame(Kind.PUSH_PROMISE, frames.END_HEADERS, 1, payload=b"\0\0\0\x02\x88"),
    "the rest of no head": frames.frame(Kind.CONTINUATION, frames.END_HEADERS, 1, payload=b"\x88"),
    "a head that is interrupted": frames.frame(Kind.HEADERS, 0, 1, payload=b"\x88") + SETTLED,
    "padding without end": frames.frame(Kind.DATA, frames.PADDED, 1, payload=b"\x05ab"),
    "no padding where some is said": frames.frame(Kind.DATA, frames.PADDED, 1),
    "an answer without a status": frames.head(1, b"\x00\x01a\x01b", ends=True),
    "a body without a head": frames.frame(Kind.DATA, frames.END_STREAM, 1, payload=b"a"),
    "a head without end": frames.frame(Kind.HEADERS, 0, 1)
    + 5 * frames.frame(Kind.CONTINUATION, 0, 1, payload=b"\0" * 16_384),
    "a table that was turned off": frames.head(1, b"\xbe", ends=True),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_no_server_may_send_ends_the_connection(what: str) -> None:
    streams, asked = Streams(), Asked(b"x")
    streams.ask(asked.question)
    streams.receive(SETTLED + NONSENSE[what])
    assert streams.error is not None
    assert asked.is_lost
    with pytest.raises(Lost):
        streams.ask(Asked().question)


def test_padding_priority_and_unknown_frames_are_passed_over() -> None:
    streams, asked = Streams(), Asked()
    streams.ask(asked.question)
    head = frames.frame(
        Kind.HEADERS,
        frames.PADDED | frames.PRIORITY | frames.END_HEADERS,
        1,
        payload=b"\x02" + b"\0\0\0\0\x10" + b"\x88" + b"\0\0",
    )
    unknown = b"\0\0\x01\xfa\0\0\0\0\x01x" + frames.frame(Kind.PRIORITY, 0, 1, payload=b"\0\0\0\0\x10")
    body = frames.frame(Kind.DATA, frames.PADDED | frames.END_STREAM, 1, payload=b"\x03body\0\0\0")
    streams.receive(SETTLED + head + unknown + body)
    assert asked.answer == Answer(200, {}, b"body")


PIECES = st.sampled_from([SETTLED, OK, frames.head(1, b"\x88", ends=True), *NONSENSE.values()])


@given(st.lists(PIECES | st.binary(max_size=30), max_size=6).map(b"".join), st.integers(1, 40))
def test_whatever_comes_a_question_ends_at_most_once(data: bytes, step: int) -> None:
    """And the same bytes in other pieces are the same."""
    ends = []
    for size in (step, len(data) or 1):
        streams, asked = Streams(), Asked(b"x")
        streams.ask(asked.question)
        for part in _parts(data, size):
            if streams.error is None:
                streams.receive(part)
        assert len(asked.outcomes) <= 1
        ends.append([outcome if isinstance(outcome, Answer) else "lost" for outcome in asked.outcomes])
    assert ends[0] == ends[1]


def _parts(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
