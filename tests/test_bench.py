"""`python -m bench --quick` runs every measurement and writes the whole table. No figure is judged here: what
a machine reaches while it runs tests says nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from bench import machine, report
from bench.field import __main__ as field
from bench.field.measure import SHORT, PeerSocket
from bench.field.servers import Peer
from bench.load.sockets import TEXT, Frames, Socket
from bench.report import Figure, Goal
from tests.releases.past import EARLIER

ROOT = Path(__file__).parents[1]
ROWS = (
    r"notifies/s.*without a store.*≥ 0.5",
    r"notifies/s.*a commit for each request",
    r"notifications/s, 100 a request",
    r"counts/s.*only sends.*≥ 0.8",
    r"KiB resident.*idle connections.*≤ 1.5",
    r"new connections/s.*login call",
    r"new connections/s.*from the cache",
    r"ms of a core for a question.*the yes kept.*/livez",
    r"ms of a core for a question.*the yes kept.*notify",
    r"ms of a core for a question.*login call",
    r"ms from POST to frame.*p50",
    r"ms from POST to frame.*p99",
    r"ms from COMMIT to frame.*p50",
    r"ms from COMMIT to frame.*p99",
    *(rf"{what}.*{bus}.*"
      for what in ("ms from POST to frame on another node", "notifies/s on PostgreSQL")
      for bus in ("Redis", "NATS", "LISTEN/NOTIFY")),
    *(rf"ms to {what}.*{size}.*≤ 1.5"
      for what in ("the first count", "the first unseen page", "one durable notify")
      for size in ("stored", "unseen of one user")),
    *(rf"{what} a publication to 1,000 users, {store}"
      for what in ("notifications/s of", "ms of a notify beside") for store in ("SQLite", "PostgreSQL")),
    *(rf"{what} a broadcast to 2,000 users, 100 of them connected, {store}"
      for what in ("ms to the answer of", "ms to tell all who are connected of", "ms of a notify beside")
      for store in ("SQLite", "PostgreSQL")),
    *(rf"{what} a mark of 1,000 notifications as read, {store}"
      for what in ("s for", "ms of a notify beside") for store in ("SQLite", "PostgreSQL")),
    *(rf"ms of a core for a notify with an id beside 5,000 pending, {store}.*≤ 1.05"
      for store in ("SQLite", "PostgreSQL")),
    *(rf"{what}.*{EARLIER.name}"
      for what in ("notifies/s, plain", "notifies/s, 20 categories and a group", "ms to the first count",
                   "ms to the first unseen page", "counts/s", "ms from POST to frame", "KiB resident")),
    *(rf"pushes/s by {gateway}.*a bare loop over {protocol}"
      for gateway, protocol in (("FCM", r"HTTP/1\.1"), ("Azure", r"HTTP/1\.1"), ("Web Push", r"HTTP/1\.1"),
                                ("APNs", "HTTP/2"), ("MQTT", "MQTT"))),
)  # fmt: skip


async def _quick_run(tmp_path: Path, *options: str) -> list[str]:
    """The lines that `python -m bench --quick` writes."""
    output = tmp_path / "RESULTS.md"
    folder = tempfile.mkdtemp(prefix="bench-")
    os.chmod(folder, 0o755)  # PostgreSQL, which does not run as root, must get in; pytest's own lets nobody
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--quick", "--output", str(output), *options),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": folder},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    shutil.rmtree(folder)
    assert process.returncode == 0, printed.decode()
    lines = output.read_text().splitlines()
    assert any(re.search(r"fsync p50 \d+\.\d\d ms", line) for line in lines)
    assert folder not in output.read_text()
    return lines


@pytest.mark.soak
async def test_a_quick_run_measures_what_it_is_told(tmp_path: Path) -> None:
    lines = await _quick_run(tmp_path, "--only", "memory")
    for row in ROWS:
        told = row.startswith("KiB")
        assert any(re.search(row, line) for line in lines) == told, row


@pytest.mark.soak
async def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    lines = await _quick_run(tmp_path)
    for row in ROWS:
        assert any(re.search(row, line) for line in lines), row


async def test_a_wrong_name_is_a_wrong_use() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--only", "nonsense"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 2, printed.decode()


@pytest.mark.parametrize(
    ("goal", "ratio", "holds"),
    [
        (Goal(0.5), 0.5, True),
        (Goal(0.5), 0.49, False),
        (Goal(1.5, at_most=True), 1.5, True),
        (Goal(1.5, at_most=True), 1.51, False),
    ],
)
def test_a_missed_goal_says_so(goal: Goal, ratio: float, holds: bool) -> None:
    assert Figure("x", "1", "2", ratio, goal).verdict == ("holds" if holds else "MISSED")


def test_a_disturbed_figure_is_not_judged() -> None:
    assert "not judged" in Figure("x", "1", "2", 0.1, Goal(0.5), disturbed=True).verdict


def test_where_a_sync_costs_nothing_group_commit_is_not_judged() -> None:
    assert machine.Machine(Path(), [0.0001, 0.0003, 0.0004], 0).commits_cost
    assert not machine.Machine(Path(), [0.0001, 0.0002, 0.0004], 0).commits_cost


def test_the_table_names_its_machine(tmp_path: Path) -> None:
    described = machine.describe(tmp_path)
    report.write(tmp_path / "table.md", [Figure("a", "1")], described, quick=True)
    text = (tmp_path / "table.md").read_text()
    for line in described.lines:
        assert line in text
    assert "quick" in text


class Wire(asyncio.Transport):
    """A line to nowhere that notes its end."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def abort(self) -> None:
        self.aborted = True


def _text(payload: bytes) -> bytes:
    return bytes((TEXT, len(payload))) + payload


async def test_counts_and_an_answer_in_one_piece() -> None:
    socket = Socket("user=ann", Frames())
    socket.connection_made(Wire())
    socket.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    asking = asyncio.create_task(socket.ask(b"{}"))
    await asyncio.sleep(0)
    count = _text(b'{"newNotificationCountChanged":1}')
    socket.data_received(count + _text(b'{"answer":1}') + count + _text(b'{"later":1}'))
    assert await asking == b'{"answer":1}'


async def test_a_refusal_is_no_frames() -> None:
    frames, wire = Frames(), Wire()
    socket = Socket("user=ann", frames)
    socket.connection_made(wire)
    refusal = b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + _text(b"no text") * 3
    socket.data_received(refusal)
    socket.connection_lost(None)
    with pytest.raises(ConnectionError, match="503"):
        await socket.opened
    assert wire.aborted
    assert frames.count == 0


def test_the_two_parts_of_the_results_keep_each_other(tmp_path: Path) -> None:
    described, path = machine.describe(tmp_path), tmp_path / "RESULTS.md"
    peers = field.part({"pns": [1.0] * 5, "ws": [2_000.0] * 5}, described, SHORT, 3)
    report.write_peers(path, peers)
    report.write(path, [Figure("own", "1")], described, quick=False)
    report.write_peers(path, peers.replace("2,000", "3,000"))
    report.write(path, [Figure("newer", "1")], described, quick=False)
    text = path.read_text()
    assert text.startswith("# What PNS reaches\n")
    assert [text.count(word) for word in ("| newer |", "| own |", report.PEERS, "2,000", "3,000")] == [
        *(1, 0, 1, 0, 5)
    ]
    (head,) = [line for line in text.splitlines() if line.startswith("| what |") and "Node ws" in line]
    assert head == "| what | PNS, durable | Node ws |"


@pytest.mark.parametrize(("load", "told"), [(0.3, False), (7.0, True)])
def test_a_shared_machine_is_named(load: float, told: bool, tmp_path: Path) -> None:
    shared = machine.Machine(tmp_path, [0.0002], load)
    assert ("other work ran" in field.part({"pns": [1.0] * 5}, shared, SHORT, 1)) == told


async def test_a_socket_of_engine_io_answers_and_opens(tmp_path: Path) -> None:
    class Kept(Wire):
        def __init__(self) -> None:
            super().__init__()
            self.sent: list[bytes] = []

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.sent.append(bytes(data))

    wire = Kept()
    socket = PeerSocket("user=a", Frames(), peer=Peer("socketio", tmp_path, application="http://x/"))
    socket.connection_made(wire)
    assert wire.sent[0].startswith(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n")
    socket.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + _text(b'0{"sid":"x"}'))
    assert not socket.opened.done()
    socket.data_received(_text(b"2") + _text(b'40{"sid":"y"}') + _text(b'42["count","x"]'))
    assert [part[-2:] for part in wire.sent[1:]] == [b"40", b"\x003"]
    assert socket.opened.done()
    assert socket.last == b'42["count","x"]'
