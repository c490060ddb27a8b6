"""RFC 6455, frame by frame, on a bare socket: what a client must not send ends with the right code, what it
may send is answered, nothing of it shows in the log as a failure, and a healthy connection beside never
notices.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness import Device, HostApplication, ServerProcess
from tests.harness.raw import BINARY, CLOSE, CONT, PING, PONG, TEXT, RawPeer, close_frame, frame

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNSEEN = b"unseenNotificationDataRequest"
LIMIT = 4096


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("protocol")
    async with HostApplication() as application, ServerProcess(folder, auth_url=application.url) as server:
        yield server
        assert "Traceback" not in server.output
        assert " ERROR " not in server.output


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def healthy(server: ServerProcess) -> AsyncIterator[Device]:
    async with Device.connect(server.url, "healthy") as device:
        assert await device.count() == 0
        yield device


@pytest_asyncio.fixture(loop_scope="module")
async def peer(server: ServerProcess, healthy: Device) -> AsyncIterator[RawPeer]:
    """An open connection whose first count is read; afterwards the healthy one still gets its pongs."""
    async with RawPeer.subscribe(server.url) as peer:
        assert json.loads(await peer.text()) == {"newNotificationCountChanged": 0}
        yield peer
    await (await healthy.socket.ping())


async def answers(peer: RawPeer) -> None:
    """The connection is open and serves."""
    await peer.send(frame(TEXT, UNSEEN))
    assert json.loads(await peer.text()) == {"newNotificationData": []}


RESERVED_BITS = [
    pytest.param(frame(opcode, b"x", rsv=rsv), id=f"rsv{rsv}-opcode{opcode}")
    for opcode, bits in ((TEXT, range(1, 8)), (BINARY, (4,)), (PING, (1, 2, 4)), (CLOSE, (4,)))
    for rsv in bits
]
RESERVED_OPCODES = [
    pytest.param(frame(opcode, payload), id=f"opcode{opcode:x}-{len(payload)}")
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
    for payload in (b"", b"x")
]
UNMASKED = [
    pytest.param(frame(opcode, b"\x03\xe8", masked=False), id=f"unmasked{opcode}")
    for opcode in (CONT, TEXT, BINARY, PING, PONG, CLOSE)
]
FRAGMENTED_CONTROL = [
    pytest.param(frame(opcode, b"\x03\xe8", fin=False), id=f"fragmented{opcode:x}")
    for opcode in (PING, PONG, CLOSE)
]
LONG_CONTROL = [
    pytest.param(frame(opcode, b"\x03\xe8" + b"x" * (size - 2)), id=f"control{opcode:x}-{size}")
    for opcode in (PING, PONG, CLOSE)
    for size in (126, 4000)
]
OUT_OF_ORDER = [
    pytest.param(frame(CONT, b"x"), id="continues-nothing"),
    pytest.param(frame(CONT, b"x", fin=False), id="continues-nothing-and-goes-on"),
    pytest.param(frame(TEXT, b'"', fin=False) + frame(TEXT, b'"'), id="text-within-text"),
    pytest.param(frame(TEXT, b'"', fin=False) + frame(BINARY, b'"'), id="binary-within-text"),
    pytest.param(frame(TEXT, b'"') + frame(CONT, b'"'), id="continues-a-whole-one"),
]
BAD_CLOSE = [
    pytest.param(close_frame(code), id=f"close{code}")
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
] + [pytest.param(frame(CLOSE, b"\x03"), id="close-of-one-byte")]


@pytest.mark.parametrize(
    "sent",
    RESERVED_BITS
    + RESERVED_OPCODES
    + UNMASKED
    + FRAGMENTED_CONTROL
    + LONG_CONTROL
    + OUT_OF_ORDER
    + BAD_CLOSE,
)
async def test_protocol_error(peer: RawPeer, sent: bytes) -> None:
    await peer.send(sent)
    assert await peer.close_code() == 1002


INVALID = {
    "lone continuation": b"\x80",
    "latin-1": "é".encode("latin-1"),
    "overlong slash": b"\xc0\xaf",
    "overlong of three": b"\xe0\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "beyond unicode": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "ends within": "κ".encode()[:1],
    "late": b'{"unseen": "' + b"x" * 4000 + b'\xff"}',
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
async def test_not_utf_8(peer: RawPeer, text: bytes) -> None:
    await peer.send(frame(TEXT, text))
    assert await peer.close_code() == 1007


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
async def test_not_utf_8_in_fragments(peer: RawPeer, text: bytes) -> None:
    await peer.send(frame(TEXT, b'"', fin=False) + frame(CONT, text, fin=False) + frame(CONT, b'"'))
    assert await peer.close_code() == 1007


async def test_close_reason_that_is_not_utf_8(peer: RawPeer) -> None:
    await peer.send(close_frame(1000, b"\xff"))
    assert await peer.close_code() == 1007


@pytest.mark.parametrize(
    "sent",
    [
        frame(BINARY, UNSEEN),
        frame(BINARY),
        frame(BINARY, UNSEEN[:5], fin=False) + frame(CONT, UNSEEN[5:]),
        frame(BINARY, b"\xff\xff"),
    ],
    ids=["whole", "empty", "fragments", "not text"],
)
async def test_binary(peer: RawPeer, sent: bytes) -> None:
    await peer.send(sent)
    assert await peer.close_code() == 1003


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, b"x" * (LIMIT + 1)),
        frame(TEXT, "é".encode() * (LIMIT // 2) + b"x"),
        frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONT, b"x"),
        frame(TEXT, b"x" * (LIMIT // 2), fin=False)
        + frame(CONT, b"x" * (LIMIT // 2), fin=False)
        + frame(CONT, b"x", fin=False),
        frame(BINARY, b"x" * (LIMIT + 1)),
        frame(TEXT, b"x" * 100_000),
        struct.pack("!BBQ", 0x81, 0x80 | 127, 1 << 40),
        struct.pack("!BBQ", 0x81, 0x80 | 127, (1 << 63) - 1),
    ],
    ids=["text", "two-byte letters", "fragments", "many fragments", "binary", "100 kB", "2^40", "2^63-1"],
)
async def test_message_over_the_limit(peer: RawPeer, sent: bytes) -> None:
    """Its end is not awaited: an announced length is enough."""
    await peer.send(sent)
    assert await peer.close_code() == 1009


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, b"x" * LIMIT),
        frame(TEXT, "é".encode() * (LIMIT // 2)),
        frame(TEXT, b"x" * (LIMIT - 1), fin=False) + frame(CONT, b"x"),
        b"".join(frame(CONT if i else TEXT, b"x", fin=i == 999) for i in range(1000)),
        frame(TEXT),
        frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT),
    ],
    ids=["text", "two-byte letters", "fragments", "1000 fragments", "empty", "empty fragments"],
)
async def test_message_within_the_limit(peer: RawPeer, sent: bytes) -> None:
    await peer.send(sent)
    assert json.loads(await peer.text())["error"]["code"] == "bad_json"
    await answers(peer)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
async def test_fragments_without_end(peer: RawPeer, opcode: int) -> None:
    """Each is empty, so that the message has no size: 9 MB of them took 7 MB.

    The fix: WebSocketProtocol.handle_cont.
    """
    await peer.send(frame(opcode, fin=False) + frame(CONT, fin=False) * 3000)
    assert await peer.close_code() == 1009


@pytest.mark.parametrize("size", range(1, 4))
async def test_letters_split_over_fragments(peer: RawPeer, size: int) -> None:
    """A fragment may end within a letter (section 5.6); only the whole must be UTF-8."""
    text = json.dumps({"né κ 𝄞": 1}, ensure_ascii=False).encode()
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    last = len(parts) - 1
    await peer.send(b"".join(frame(CONT if i else TEXT, part, fin=i == last) for i, part in enumerate(parts)))
    assert json.loads(await peer.text())["error"]["code"] == "unknown_message"
    await answers(peer)


@pytest.mark.parametrize("split", [1, 2, 3, 5, 7, 33])
async def test_frames_in_any_number_of_segments(peer: RawPeer, split: int) -> None:
    sent = frame(PING, b"between") + frame(TEXT, UNSEEN)
    for start in range(0, len(sent), split):
        await peer.send(sent[start : start + split])
    assert await peer.frame() == (PONG, b"between")
    assert json.loads(await peer.text()) == {"newNotificationData": []}


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff\x80", b"x" * 125], ids=len)
async def test_ping(peer: RawPeer, payload: bytes) -> None:
    await peer.send(frame(PING, payload))
    assert await peer.frame() == (PONG, payload)
    await answers(peer)


async def test_pings_in_order(peer: RawPeer) -> None:
    await peer.send(b"".join(frame(PING, str(i).encode()) for i in range(50)))
    assert [await peer.frame() for _ in range(50)] == [(PONG, str(i).encode()) for i in range(50)]


@pytest.mark.parametrize("payload", [b"", b"unasked"], ids=["empty", "payload"])
async def test_pong_that_nobody_asked_for(peer: RawPeer, payload: bytes) -> None:
    await peer.send(frame(PONG, payload))
    await answers(peer)


async def test_control_frames_between_fragments(peer: RawPeer) -> None:
    """Section 5.4: they may stand there, and are answered before the message is complete."""
    await peer.send(frame(TEXT, UNSEEN[:3], fin=False) + frame(PING, b"1") + frame(PONG, b"2"))
    assert await peer.frame() == (PONG, b"1")
    await peer.send(frame(CONT, UNSEEN[3:9], fin=False) + frame(PING, b"3") + frame(CONT, UNSEEN[9:]))
    assert await peer.frame() == (PONG, b"3")
    assert json.loads(await peer.text()) == {"newNotificationData": []}


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
)
async def test_close_is_echoed(peer: RawPeer, code: int) -> None:
    await peer.send(close_frame(code, b"bye"))
    assert await peer.close_code() == code


@pytest.mark.parametrize("reason", [b"x" * 123, "é".encode() * 61], ids=["ascii", "letters"])
async def test_close_with_the_longest_reason(peer: RawPeer, reason: bytes) -> None:
    await peer.send(close_frame(1000, reason))
    assert await peer.frame() == (CLOSE, b"\x03\xe8" + reason)
    assert await peer.rest() == b""


async def test_close_without_a_code(peer: RawPeer) -> None:
    await peer.send(frame(CLOSE))
    assert await peer.close_code() == 1005


@pytest.mark.parametrize(
    "after",
    [frame(PING), frame(TEXT, UNSEEN), close_frame(1002), b"\xff" * 1000],
    ids=["ping", "text", "close", "nonsense"],
)
async def test_nothing_counts_after_a_close(peer: RawPeer, after: bytes) -> None:
    await peer.send(close_frame(1000) + after)
    assert await peer.frame() == (CLOSE, b"\x03\xe8")
    assert await peer.rest() == b""


async def test_close_within_a_fragmented_message(peer: RawPeer) -> None:
    await peer.send(frame(TEXT, UNSEEN[:3], fin=False) + close_frame(1000))
    assert await peer.close_code() == 1002


async def test_peer_that_is_simply_gone(peer: RawPeer) -> None:
    await peer.send(frame(TEXT, UNSEEN)[:7])
    peer.socket.close()


async def test_server_pings_and_counts_of_a_user_who_left(server: ServerProcess, healthy: Device) -> None:
    """A message that finds its connection gone is no failure."""
    async with RawPeer.subscribe(server.url, "leaver") as peer:
        await peer.text()
    async with server.backend() as backend:
        await backend.notify("leaver", "too late")
        assert (await backend.user("leaver"))["unseen"] == 1
